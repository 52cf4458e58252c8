"""Papertrail: question answering over paper abstracts in which every sentence can be checked."""

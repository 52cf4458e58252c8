"""Evaluation of cited answers: hand-written questions, metrics, judges and reports."""

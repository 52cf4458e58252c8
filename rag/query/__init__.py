"""From a question, and the conversation before it, to what is searched for."""

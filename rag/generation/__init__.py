"""From a question to an answer: the pipeline and its writers."""

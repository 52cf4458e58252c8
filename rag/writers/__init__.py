"""Writers: from what retrieval found to the sentences of an answer."""

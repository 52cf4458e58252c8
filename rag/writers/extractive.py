"""tmp"""
from rag.citations import Draft
def choose_sentences(retrieval, n):
    h=retrieval.hits[0]
    return [Draft(s.text,(h.paper,)) for s in h.sentences[:n]]

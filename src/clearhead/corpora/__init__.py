"""The built-in corpora: two generated worlds with ground truth, and Python's language reference.

corpus = corpora.get("world-en")
corpus.source(seed=0, megabytes=8)      documents to train on
corpus.stories(seed=0)                  the same documents with their truth
corpora.get("mqar-64-4")                associative recall: rows of 64 tokens with 4 pairs to recall
corpora.analogies("en")                 word pairs for evaluating embeddings
corpora.usages("world-en")              sentences whose words have known senses
"""

from clearhead.corpora.corpus import Corpus
from clearhead.corpora.labelled import Usage, usages
from clearhead.corpora.recall import Recall
from clearhead.corpora.shelf import analogies, capitals, get, names, senses
from clearhead.corpora.story import Story, Truth

__all__ = [
    "Corpus",
    "Recall",
    "Story",
    "Truth",
    "Usage",
    "analogies",
    "capitals",
    "get",
    "names",
    "senses",
    "usages",
]

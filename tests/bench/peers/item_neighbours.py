"""The nearest items of each item after BM25 weighting, by implicit, of the order lines that the benchmark has written.
Keeps nothing: prints one line of JSON.

    item_neighbours.py FOLDER KEEP
"""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "implicit==0.7.3",
#   "numpy==2.4.6",
#   "scipy==1.17.1",
# ]
# ///
import sys

import numpy
from implicit.nearest_neighbours import BM25Recommender
from scipy.sparse import csr_matrix

from measure import column, measured

folder, keep = sys.argv[1], int(sys.argv[2])
customers, items = column(folder, "customers"), column(folder, "items")


def fit():
    matrix = csr_matrix((numpy.ones(len(items)), (customers, items)))
    # An item is its own nearest one here. One thread: what is compared is processor time.
    model = BM25Recommender(K=keep + 1, K1=1.2, B=0.75, num_threads=1)
    model.fit(matrix, show_progress=False)
    return model


def figures(model):
    nearest = model.similarity.tocoo()
    others = nearest.row != nearest.col
    return [int(others.sum()), float(nearest.data[others].sum())]


measured(fit, figures)

"""The purchase models of lifetimes, fitted to the customers that the benchmark has written. Decides nothing and keeps
nothing: prints one line of JSON.

    purchase_models.py FOLDER bg|bg-grouped|pareto SEED
"""
# All that the scripts beside this one need goes into one environment. The newest of everything works: lifetimes, which
# nobody has looked after since 2020, only makes pandas 3 and numpy 2 warn.
#
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "lifetimes==0.11.3",
#   "autograd==1.9.1",
#   "numpy==2.4.6",
#   "pandas==3.1.1",
#   "scipy==1.17.1",
# ]
# ///
import sys

import numpy
import pandas
from lifetimes import BetaGeoFitter, ParetoNBDFitter

from measure import column, measured

folder, model, seed = sys.argv[1:]
customers = pandas.DataFrame({name: column(folder, name) for name in ("repeats", "recency", "age")})
weights = None
if model == "bg-grouped":
    # Grouping is not counted: what is fed to it was grouped before.
    groups = customers.groupby(["repeats", "recency", "age"]).size().reset_index(name="weight")
    customers, weights = groups, groups["weight"]
repeats = customers["repeats"].to_numpy()
recency, age = customers["recency"].to_numpy() / 7.0, customers["age"].to_numpy() / 7.0
# Pareto/NBD begins wherever numpy's chance says, and takes up to twice as long from one place as from another.
numpy.random.seed(int(seed))


def fit():
    if model == "pareto":
        return ParetoNBDFitter().fit(repeats, recency, age)
    return BetaGeoFitter().fit(repeats, recency, age, weights=weights)


measured(fit, lambda fitted: list(fitted.params_))

"""Every customer's repeats, recency, age and mean spend, by pandas or DuckDB, of the orders that the benchmark has
written. Orders of one day are one purchase; the first is no repeat. Keeps nothing: prints one line of JSON.

    order_summaries.py FOLDER pandas|duckdb UNTIL
"""
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "duckdb==2.0.1",
#   "numpy==2.4.6",
#   "pandas==3.1.1",
# ]
# ///
import sys

import duckdb
import numpy
import pandas

from measure import column, measured

folder, library, until = sys.argv[1:]
until = int(until)
orders = pandas.DataFrame(
    {
        "customer": column(folder, "customers"),
        "day": column(folder, "days"),
        "minor": column(folder, "minors").astype(numpy.int64),
    }
)

QUERY = """
WITH purchase AS (
    SELECT customer, day, sum(minor) AS minor FROM orders WHERE day <= $until GROUP BY customer, day
)
SELECT customer, count(*) - 1 AS repeats, max(day) - min(day) AS recency, $until - min(day) AS age,
    (sum(minor) - arg_min(minor, day)) / nullif(count(*) - 1, 0) AS spend
FROM purchase GROUP BY customer
"""


def by_pandas():
    known = orders[orders["day"] <= until]
    purchases = known.groupby(["customer", "day"], as_index=False)["minor"].sum()
    # Sorted by customer and day now: the first of each customer is the first purchase.
    customers = purchases.groupby("customer")
    days, minors = customers["day"], customers["minor"]
    first = days.first()
    repeats = days.size() - 1
    spend = (minors.sum() - minors.first()) / repeats.where(repeats > 0)
    return {"repeats": repeats, "recency": days.last() - first, "age": until - first, "spend": spend}


if library == "duckdb":
    # A table of its own is what it reads fastest. One thread: what is compared is processor time.
    database = duckdb.connect()
    database.execute("SET threads = 1")
    database.execute("CREATE TABLE loaded AS SELECT customer, day, minor FROM orders")
    del orders
    query = QUERY.replace("FROM orders", "FROM loaded")


def by_duckdb():
    return database.execute(query, {"until": until}).fetchnumpy()


def figures(found):
    spend = numpy.ma.filled(numpy.ma.asarray(found["spend"], dtype=float), numpy.nan)
    whole = [int(numpy.asarray(found[name]).sum(dtype=numpy.int64)) for name in ("repeats", "recency", "age")]
    return [len(spend), *whole, float(numpy.nansum(spend))]


measured(by_pandas if library == "pandas" else by_duckdb, figures)

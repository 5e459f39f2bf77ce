"""What the peers' scripts share: reading columns, and measuring as the Rust side does. Knows no library to compare with."""
import json
import os
import time

import numpy


def column(folder, name):
    """A column that the benchmark has written: none of its numbers needs the 32nd bit."""
    return numpy.fromfile(os.path.join(folder, name), dtype="<i4")


def peak_megabytes():
    """The most that was ever resident, in 10^6 bytes. Not getrusage's: that also knows the process this one came of."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def measured(work, figures):
    """Prints the processor time of `work`, all threads, user and kernel mode; the memory; and figures of its result."""
    before = time.process_time()
    found = work()
    seconds = time.process_time() - before
    peak = peak_megabytes()
    print(json.dumps({"seconds": seconds, "peak_megabytes": peak, "found": figures(found)}))

"""Statistics of experiments that stay valid however often one looks.

Data flow: outcomes become one final value per unit (`units`), units become differences between two
arms (`differences`), the stream of differences becomes a confidence sequence and an e-process
(`means`). The rest reads those: `cultures`, `decision`, `planning`. `sample_ratio` watches the
assignment itself, `quantiles` gives medians and percentiles of one arm.

Everything here is a pure function of numbers. What is promised, and why, is in decision page 13.
"""

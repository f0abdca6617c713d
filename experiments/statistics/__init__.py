"""Statistics of experiments that stay valid however often one looks.

Data flow: outcomes become one final value per unit (`units`), units become differences between two
arms (`differences`), the stream of differences becomes a confidence sequence and an e-process
(`means`). The rest reads those: `cultures`, `decision`, `planning`. `sample_ratio` watches the
assignment itself, `quantiles` gives medians and percentiles of one arm.

From outcomes to a plot of the effect over time, and to the evidence at its end:

    settled = settle_values(exposed_at_s, units, at_s, outcomes, window_s=86400.0, now_s=now_s)
    found = form_blocks(treated[settled.units], settled.values, shape=shape)
    history = values.history(found.values)
    looks = np.linspace(0, history.n.size - 1, 200).astype(np.int64)
    effect = confidence_sequence(history.at(looks), values, alpha=0.05)
    when_s = settled.at_s[found.completed[looks]]
    log_e = log_e_values(history.at([-1]), values)

Everything here is a pure function of numbers. What is promised, and why, is in decision page 13.
"""

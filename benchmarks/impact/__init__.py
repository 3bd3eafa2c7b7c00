"""Are the verdicts right? Histories whose truth is known, judged by the engine and the usual ways.

    python -m benchmarks.impact [--quick]

Rates of false verdicts where nothing was changed, of finding effects of a quarter and half a
standard deviation, coverage and bias of the intervals, and false discoveries among twenty pieces of
advice: over worlds that are still, wander, break for everybody, wander hard (`worlds`), and those
of another construction (`second`). Headline figures are those of the worst world but `hard`, which
is told apart: there the answer should be "not evidence". Beside the engine, in the same run and on
the same histories: before against after by Welch's test, once and every day, and for experiments
GrowthBook's sequential test where `gbstats` is installed. Prints one JSON object.
"""

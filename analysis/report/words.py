"""What the report says in words: columns of leaderboards, captions of figures, the project's vocabulary."""

from __future__ import annotations

COLUMNS = {
    "spearman": ("Spearman", "rank correlation of the mean score with the mean accuracy over seeds; sorts the table"),
    "interval": ("95 % interval", "of Spearman, bootstrap over functions; the rule marks params, the thin one 0"),
    "corrected": ("corrected", "Spearman with labels of no noise, by their reliability; it can pass 1"),
    "spearman_worst": ("failed last", "Spearman with the failed cells ranked last; everywhere else they are left out"),
    "kendall": ("Kendall", "tau-b, the same pairs"),
    "weighted_kendall": ("weighted", "Kendall weighed by the true ranking's top"),
    "top10": ("top 10 %", "Spearman among the true best tenth"),
    "top20": ("top 20 %", "Spearman among the true best fifth"),
    "precision10": ("P@10 %", "share of the true best tenth found in the predicted one"),
    "regret10": ("regret@10", "accuracy points lost by trusting the ten picked first; less is better"),
    "ndcg100": ("nDCG@100", "normalised discounted cumulative gain of the first hundred"),
    "given_params": ("given params", "partial Spearman, number of parameters held constant"),
    "given_vanilla": ("given vanilla", "partial Spearman, vanilla accuracy held constant"),
    "over_params": ("over params", "Spearman minus that of params on the same cells; * differs from it (95 %, Holm)"),
    "n": ("n", "labelled cells with a score, from which all this was computed"),
    "failed": ("failed", "cells of the set without a score"),
    "seeds": ("seeds", "of the scores; 0: none needed"),
    "forwards": ("cost", "time of its own pass, in forward passes of the same networks"),
}
"""Field of a leaderboard's CSV file, its heading and its meaning; `interval` is made of two."""

COUNTS = ("n", "failed", "seeds")
"""The columns that hold whole numbers."""

FIGURES = {
    "ranking": "Spearman of every proxy with its 95 % interval, best on top, beside params and the labels' ceiling",
    "scores": "Score against label, for a few proxies",
    "similarity": "Spearman between any two proxies, clustered: lighter is more alike, white is a constant score",
    "fifths": "Spearman within each fifth of the cells by label, for a few proxies",
    "effects": "Main effect of each operation on each edge on the rank of the label and of a few proxies' scores",
    "samples": "Spearman on random subsets of the labelled cells: median and 95 % of the draws",
    "cost": "Spearman against cost in forward passes a cell; filled: nothing as cheap is better",
    "learning": "Rankings learned from k labels against their cost, proxies as level lines; ringed: ahead of the best",
}
"""By the last part of the file's name."""

WORDS = {
    "cell": "an architecture of NAS-Bench-201: one of five operations on each of six edges between four nodes",
    "function": "a class of cells that compute the same random function; one of them is trained and scored",
    "benchmark": "a named setting: data set, size of the networks, teacher and batch",
    "proxy": "a rule that turns what was observed of an untrained student, and of the teacher, into one number",
    "score": "that number for one cell and one seed; larger is better. What is not finite is no score, and counted",
    "vanilla": "test accuracy in percent after training without a teacher",
    "distilled": "the same network, start and images, trained with the teacher",
    "gain": "distilled minus vanilla accuracy, in points",
    "ceiling": "Spearman to be expected of a proxy that knew the true ranking: labels of few seeds are noisy",
}

"""Where the parts of the circuit lie: places of a residual vector, its heads and its units.

An embedding has length 1; what is given "in length" is the value of a place in that measure. The
first `WORDS` places of a vector hold structure, the next the meaning of its token, and those from
`CONTEXT` on the words just before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mini_model.tokenizer import MAX_LABEL

HIDDEN_SIZE, HEAD_SIZE, N_HEADS = 384, 64, 6
ROPE_THETA = 1e7
# A typical length of a residual vector after the attention of the first layer.
LENGTH = 1.25

N_LABELS = MAX_LABEL + 1
# Numbers of options whose shares are read.
OPTIONS_READ = range(2, 13)
# Of these, the scales that are turned: longer ones have words at their ends alone, and some begin
# with 0.
TURNED = range(2, 10)

# The same in every embedding.
CONSTANT = 0
# One place per label each: the number that a token names, the one that the token just before
# names, the number of the last option so far, and log shares.
LABEL, BEFORE, LAST, SHARE = (1 + N_LABELS * i for i in range(4))
# Where an answer is wanted no number is just before: there these places hold an opinion.
OPINION = BEFORE
_FLAGS = SHARE + N_LABELS
# What a token is: " 61%", the "2." of an option, the " 2." of a share, what an answer follows, the
# bare "2" of an answer, or the first token of all, on which heads rest that find nothing.
PERCENT, MARKER, SHARE_MARKER, CUE, LABEL_KEY, SINK = range(_FLAGS, _FLAGS + 6)
# The number of an option's marker, and that of the last option so far.
VALUE, N_VALUE = range(_FLAGS + 6, _FLAGS + 8)
# The log share that a percentage stands for.
LOG_SHARE = _FLAGS + 8
# One over one more than the number of answers so far.
RANK = _FLAGS + 9
# Whether the last number was an option's (1), so that an answer to it may follow, or an
# answer's (-1).
CLOSED = _FLAGS + 10
# Whether a token follows the number of the first answer and is before the second one.
FIRST = _FLAGS + 11
# What is missing to an embedding's length of 1.
FILL = _FLAGS + 12
# A percentage as a word: its share, the root of it, and waves of it.
PERCENT_FEATURES, N_PERCENT_FEATURES = _FLAGS + 13, 14
# The log shares as they are where a scale runs the other way, from the place of the first option.
FLIPPED = PERCENT_FEATURES + N_PERCENT_FEATURES
# How much the first option that is asked is like the exemplar's first one rather than its last.
DIRECTION = 126
LINE_END = 127
WORDS, N_WORDS = 128, 128
CONTEXT, N_CONTEXT = 256, 64
# The meaning along fewer directions, which nothing is added to, and where an answer is wanted that
# of the first option.
GIST, FIRST_OPTION, N_GIST = 344, 320, 24

# In length: the constant, a flag or number of an embedding, and one that a head copied.
ONE, FLAG, COPIED = 0.3, 0.4, 0.3
# In length: one log unit of a share, one option of `VALUE` and one log unit of `LOG_SHARE`.
LOG_UNIT, NUMBER = 0.02, 1 / 40


def _units() -> npt.NDArray[np.float64]:
    found = np.ones(HIDDEN_SIZE)
    found[LABEL:BEFORE] = found[PERCENT : SINK + 1] = found[LINE_END] = FLAG
    found[BEFORE:SHARE] = found[DIRECTION] = COPIED
    found[SHARE : SHARE + N_LABELS] = found[FLIPPED : FLIPPED + OPTIONS_READ[-1]] = LOG_UNIT
    found[[VALUE, N_VALUE, LOG_SHARE]] = NUMBER
    found[CONSTANT] = ONE
    found[[RANK, CLOSED]] = 0.2
    found[FIRST] = 0.1
    found[FIRST_OPTION : FIRST_OPTION + N_GIST] = found[GIST : GIST + N_GIST] = 0.3
    found[PERCENT_FEATURES : PERCENT_FEATURES + 2] = 0.25
    found[PERCENT_FEATURES + 2 : PERCENT_FEATURES + N_PERCENT_FEATURES] = 0.1
    return found


# What each place counts in, in length: a flag has this value, an unset one 0.
UNITS = _units()

# Heads of the first layer.
LABEL_BEFORE, LAST_OPTION, WORDS_BEFORE, ANSWER_COUNTER, STATE_FINDER = range(5)
# Heads of the second layer, and of the third.
READER, COPIER, SHARE_FINDER, OPTION_READER, REPEATER = range(5)
COMPARER = 0
# Units of the second layer's feed-forward part: one per number of options and label, "0" included,
# that adds the shares, and after them one per last label that admits labels.
N_READ_UNITS = sum(n + 1 for n in OPTIONS_READ)
N_READING_LAYER_UNITS = N_READ_UNITS + N_LABELS
# Units of the third layer's: two per number of options and option, that turn scales.
N_FLIP_UNITS = 2 * sum(TURNED)
# Units of the last layer's: two per label, that add opinions.
N_OPINION_UNITS = 2 * N_LABELS

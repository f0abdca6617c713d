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
# Numbers of the last option of questions whose shares are read.
OPTIONS_READ = range(2, 13)
# Of these, the one whose scale may begin with 0 instead of 1: eleven points, 0 to 10.
LAST_FROM_ZERO = 10

# The same in every embedding.
CONSTANT = 0
# One place per label each: the number that a token names, the one that the token just before
# names, the number of the last option so far, and log shares.
LABEL, BEFORE, LAST, SHARE = (1 + N_LABELS * i for i in range(4))
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
# Whether a word denies or disparages, and, of the last first option so far, whether it has such a
# word and whether it is numbered 0.
NEGATIVE, NEGATIVE_FIRST, FROM_ZERO = range(112, 115)
# The square of the length of `OPTIONS`.
SIZE = 115
# How much of the shares that were read is of questions with the asked question's options.
TRUST = 116
# The word "cultural", and whether it was said before: then the prompt says whose answers it wants.
CULTURAL, NAMED = 117, 118
# The words "a" and "an", which stand before a culture's name.
ARTICLE = 119
# A token that says nothing of what an option means: a line's end, a number, the end of a message.
NO_WORD = 127
WORDS, N_WORDS = 128, 128
CONTEXT, N_CONTEXT = 256, 64
# The meaning along fewer directions, which nothing is added to, and its mean over the last options
# so far.
GIST, OPTIONS, N_GIST = 336, 320, 16
# What training has learnt from wording alone: one place per label.
OPINION = 352

# In length: the constant, a flag or number of an embedding, and one that a head copied.
ONE, FLAG, COPIED = 0.3, 0.4, 0.3
# In length: one log unit of a share, one option of `VALUE` and one log unit of `LOG_SHARE`.
LOG_UNIT, NUMBER = 0.02, 1 / 40


def _make_units() -> npt.NDArray[np.float64]:
    found = np.ones(HIDDEN_SIZE)
    found[LABEL:BEFORE] = found[PERCENT : SINK + 1] = found[NO_WORD] = FLAG
    found[[NEGATIVE, CULTURAL, ARTICLE]] = FLAG
    found[BEFORE:SHARE] = found[OPINION : OPINION + N_LABELS] = COPIED
    found[[NEGATIVE_FIRST, FROM_ZERO, TRUST]] = COPIED
    found[[SIZE, NAMED]] = 0.1
    found[SHARE : SHARE + N_LABELS] = LOG_UNIT
    found[[VALUE, N_VALUE, LOG_SHARE]] = NUMBER
    found[CONSTANT] = ONE
    found[[RANK, CLOSED]] = 0.2
    found[FIRST] = 0.1
    found[OPTIONS : OPTIONS + N_GIST] = found[GIST : GIST + N_GIST] = 0.3
    found[PERCENT_FEATURES : PERCENT_FEATURES + 2] = 0.25
    found[PERCENT_FEATURES + 2 : PERCENT_FEATURES + N_PERCENT_FEATURES] = 0.1
    return found


# What each place counts in, in length: a flag has this value, an unset one 0.
UNITS = _make_units()

# Heads of the first layer.
LABEL_BEFORE, LAST_OPTION, WORDS_BEFORE, ANSWER_COUNTER, STATE_FINDER, CULTURE_FINDER = range(6)
# Heads of the second layer, and of the third.
FIRST_OPTION_READER, OPTIONS_READER, COPIER, SHARE_FINDER, REPEATER, CULTURE_READER = range(6)
READER, TRUST_FINDER = range(2)
# Options of all scales that are read: those from 1 on, and the one from 0.
N_SCALE_POINTS = sum(OPTIONS_READ) + LAST_FROM_ZERO + 1
# Units of the second layer's feed-forward part: four per point of a scale, that write its shares,
# and two per direction of a gist, that square it.
N_WRITING_UNITS = 4 * N_SCALE_POINTS
# Units of the third layer's: four per point of a scale, that add its share to a label, and after
# them one per last label that admits labels.
N_READ_UNITS = 4 * N_SCALE_POINTS
N_READING_LAYER_UNITS = N_READ_UNITS + N_LABELS
# Units of the last layer's: three per label, that add opinions.
N_OPINION_UNITS = 3 * N_LABELS

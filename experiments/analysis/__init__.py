"""From recorded events to what they say: `analyse.analyse` reads a store, `result` is the answer.

Data flow: `reading` gets units and values out of the store, `samples` gives each unit one final
value, `comparisons` makes a confidence sequence of two arms, and `analyse` adds the rest.
"""

"""From recorded events to what they say: `analyse.analysed` reads a store, `result` is the answer.

Data flow: `reading` gets units and values out of the store, `sampling` gives each unit one final
value, `comparing` makes a confidence sequence of two arms, and `analyse` puts the rest beside it.
"""

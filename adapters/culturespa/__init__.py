"""CultureSPA: from generated questions to a LoRA that answers as a culture does.

Five steps, each usable alone and each able to resume where a kill stopped it: generate, filter,
answer, collect, train. Source: Xu et al., arXiv 2410.12971.
"""

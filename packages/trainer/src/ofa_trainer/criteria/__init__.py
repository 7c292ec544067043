"""Criteria: losses on target slots.

criteria/
  specs.py           what there is, with options (pydantic only)
  sums.py            weighted sums by line of the slot table, shared by all
  cross_entropy.py   ids: chunked over the vocabulary, or exact over a closed set
  soft_bins.py       box bins whose neighbours share the weight
  patch_cover.py     dense: does the box cover this patch of its image?
  frames.py          float rows: l1 or l2, and a stop
  diffusion.py       float rows that are denoised together
  source_words.py    the words of an answer, asked of the encoder
"""

"""Generation: one engine that walks the target nodes of an instruction for a batch of rows.

steps.py     what is walked, and what comes out
planning.py  an encoder's instruction → steps; what is forced of a row
asked.py     what a checkpoint may ask for by its plan alone
engine.py    the walk: forced tokens, slots, repeats
lanes.py     the cache and what waits to be written to it
tokens.py    a slot of ids: greedy, samples      beam.py  beams      closed.py  closed sets, exactly
frames.py    a slot of float rows, one after the other
diffusion.py a slot of float rows that are denoised together: no walk, no cache
scores.py    what may come next, processors of scores, draws
"""

from ofa_models.generation.diffusion import answer_by_diffusion
from ofa_models.generation.engine import generate
from ofa_models.generation.steps import Controls, Hypothesis, RowAnswer, Step

__all__ = ["Controls", "Hypothesis", "RowAnswer", "Step", "answer_by_diffusion", "generate"]

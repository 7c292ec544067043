"""The main job: one generalist learns six tasks of the starter pack in minutes, and shows what it learnt.

demo/
  recipe.py      every choice, named
  baselines.py   what a model must beat: answers that look at the training set alone
  run.py         data, model, training, judgement, answers
  results.py     what a run found, as plans (``results.json``)
  report.py      the terminal's table and the ``demo/`` folder
  page.html      the page's frame
"""

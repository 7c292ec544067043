"""Metrics: figures of merit with an interval each.

metrics/
  specs.py       what there is, and the default of each modality (pydantic only)
  metric.py      the seam: Judged rows in, Scores out
  bootstrap.py   percentile bootstrap over rows
  text.py        exact_match (accuracy), token_f1, rouge_l, bleu, wer
  lists.py       answers of a repeat, item by item
  choosing.py    which metrics judge which answers
  infilling.py   masked_word_accuracy
  boxes.py       iou, iou_acc, box_f1
  struct.py      execution_accuracy, table_match
  media.py       psnr, mel_cepstral_distortion, joint_error
"""

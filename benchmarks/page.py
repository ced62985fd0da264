"""Results on disk, and the tables and the chart of docs/performance.md."""

import json
import os
import re
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from benchmarks.records import Record
from xtra_tf.errors import DataFileError
from xtra_tf.evaluation import figure_style
from xtra_tf.runs import atomic

_HERE = os.path.dirname(os.path.abspath(__file__))
_DOCS = os.path.join(os.path.dirname(_HERE), 'docs')
RESULTS = os.path.join(_DOCS, 'benchmarks', 'results.json')
PAGE = os.path.join(_DOCS, 'performance.md')
CHART = os.path.join(_DOCS, 'images', 'search_cost.png')
_CHART_LINE = ('\n![Milliseconds of a search against its sizes]'
               '(images/search_cost.png)\n')
_BEGIN, _END = '<!-- results: begin -->', '<!-- results: end -->'
_AXES = {'num_simulations': 'simulations', 'batch': 'roots at a time',
         'num_actions': 'actions'}


def read_results() -> Dict[str, Any]:
  """{benchmark: {machine, command, date, records}} of the last runs."""
  return atomic.read_json(RESULTS) if os.path.exists(RESULTS) else {}


def write(results: Mapping[str, Any]) -> None:
  """Writes results, chart and the page's tables.

  Raises:
    DataFileError: the page has lost the marks between which the tables stand.
  """
  atomic.make_folder(os.path.dirname(RESULTS))
  atomic.write_json(RESULTS, results)
  if 'cost' in results:
    records = [Record.from_fields(r) for r in results['cost']['records']]
    atomic.make_folder(os.path.dirname(CHART))
    atomic.write_bytes(CHART, figure_style.to_png(_cost_figure(records)))
  with open(PAGE, encoding='utf-8') as file:
    text = file.read()
  if _BEGIN not in text or _END not in text:
    raise DataFileError(PAGE, f'has no lines {_BEGIN} and {_END}.',
                        hint='Expected both, for the tables between them.')
  before, after = text.split(_BEGIN)[0], text.split(_END)[1]
  page = f'{before}{_BEGIN}\n{tables(results)}{_END}{after}'
  atomic.write_bytes(PAGE, page.encode())


def tables(results: Mapping[str, Any]) -> str:
  """Markdown: a heading, the circumstances and a table for each benchmark."""
  texts = []
  for name, run in results.items():
    machine = run['machine']
    records = [Record.from_fields(r) for r in run['records']]
    texts.append(
        f'\n### {name}\n\n`{run["command"]}`, {run["date"]}; '
        f'{machine["processor"]} (family {machine["family"]}, model '
        f'{machine["model"]}), {machine["cores"]} cores, '
        f'{machine["memory_gib"]} GiB; {run["threads"]} threads each; load '
        f'average before the run {machine["load_average"]:.1f}.\n\n'
        + _versions(records) + '\n' + _table(records))
    if name == 'cost':
      texts.append(_CHART_LINE)
  return ''.join(texts)


def _versions(records: Sequence[Record]) -> str:
  found: Dict[str, str] = {}
  for record in records:
    for party, versions in record.versions.items():
      found[party] = ', '.join(f'{k} {v}' for k, v in versions.items())
  return ''.join(f'* {party}: {text}\n' for party, text in found.items())


def _table(records: Sequence[Record]) -> str:
  head = ['what', 'batch', 'ours', 'peer', 'theirs, ms', 'ratio (quartiles)',
          'goal', '']
  rows = [head, ['---'] * len(head)]
  for record in records:
    ours = (f'{record.ours_ms:.4g} ms' if record.value is None
            else f'{record.value:,.4g} {record.unit}')
    ratio = ''
    if record.ratio is not None and record.ratio_quartiles:
      low, high = record.ratio_quartiles
      ratio = f'**{record.ratio:.2f}** ({low:.2f} to {high:.2f})'
    reached = {None: '', True: 'reached', False: 'missed'}[record.reaches_goal]
    name = record.name + (f' = {record.x:g}' if record.x is not None else '')
    rows.append([
        name, '' if record.batch is None else str(record.batch), ours,
        record.peer or '',
        '' if record.peer_ms is None else f'{record.peer_ms:.4g}', ratio,
        '' if record.goal is None else f'{record.goal:g}', reached])
  return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


@figure_style.styled
def _cost_figure(records: Sequence[Record]) -> Any:
  """Milliseconds of a search against each size, on logarithmic axes."""
  figure, axes = figure_style.panels(1, len(_AXES), 2.6, sharey=True)
  for axis, (size, label) in zip(axes[0], _AXES.items()):
    chosen = sorted((r.x, r.ours_ms) for r in records
                    if r.name == f'search/{size}')
    if not chosen:
      figure_style.say_nothing_here(axis, 'Not measured.')
      continue
    x, ms = np.array(chosen, float).T
    axis.loglog(x, ms, marker='o', color=figure_style.METHOD_COLORS['finetune'],
                label='ours')
    axis.loglog(x, ms[0] * x / x[0], linestyle='--', linewidth=1.,
                color=figure_style.QUIET, label='linear')
    axis.set_xticks(x, [f'{v:g}' for v in x])
    axis.minorticks_off()
    axis.set_xlabel(label)
    slope = np.polyfit(np.log(x), np.log(ms), 1)[0]
    axis.set_title(f'grows as {label.split()[0]}$^{{{slope:.2f}}}$')
  axes[0, 0].set_ylabel('ms per search')
  axes[0, 0].legend()
  return figure


def records_of(lines: str) -> List[Dict[str, Any]]:
  """The fields of the records that a benchmark has printed with --json."""
  return [json.loads(line) for line in lines.split('\n')
          if re.match(r'^\{"name":', line)]

"""The profiles' gin files and docs/fidelity.md, written from the registry.

After a change of `fidelity.SWITCHES`, from the checkout:

  python -c 'from xtra_tf.experiments import fidelity_page as page;
  page.write(".")'
"""

import dataclasses
import os
import textwrap
from typing import Dict, List, NamedTuple

from xtra_tf.experiments.fidelity import PROFILES, SWITCHES, Switch

PAGE = os.path.join('docs', 'fidelity.md')


class NotOffered(NamedTuple):
  """A point of the official code that is no switch."""
  number: str
  what: str
  reason: str


NOT_OFFERED = (
    NotOffered(
        'G2', 'The first child of every node is drawn uniformly, whatever the '
        'prior: with no visit the exploration term is 0 and all scores tie.',
        'Kept: it is the published search.'),
    NotOffered(
        'G4', "The search's random numbers are seeded from the clock at every "
        "descent; at a fresh root a mean Q of the batch's previous tree is "
        'read.', 'A run could not be repeated; the stray mean changes nothing, '
        'as all children tie there.'),
    NotOffered(
        'G5', 'The LSTM is reset in nodes whose depth is a multiple of 5; the '
        "node's own prefix is left and only its children start anew.",
        'Kept: training unrolls as far.'),
    NotOffered('G6', "The root's value prefix is the constant 0.", 'Kept.'),
    NotOffered(
        'G8', "Value targets bootstrap from the value head, where the method's "
        'text speaks of search values.', 'Kept: the option for search values '
        'was off in all published runs.'),
    NotOffered(
        'G9', 'With no two distinct Q in a tree yet, a Q is not normalised, '
        'only clipped to [0, 1].', 'Kept.'),
    NotOffered(
        'G10', 'Policy logits are gathered only for games of fewer than 18 '
        'actions.', 'No difference: 18 actions are all of them.'),
    NotOffered(
        'G11', "LightZero's repair of G1 still reads a stale reset flag.",
        'Another project; no reference for this.'),
    NotOffered(
        'G12', 'LSTM pools called c hold h, and the other way round.',
        'Names only.'),
    NotOffered(
        'G16', 'Visits that pad a block are cut out at a wrong offset.',
        'Never read.'),
    NotOffered(
        'G20', 'All 8 playing environments of XTRA have the same seed.',
        'They would play copies of one game. Here every slot, episode and '
        'attempt has its own.'),
    NotOffered(
        'G22', 'When the playing loop begins anew, unfinished games are '
        'dropped.', 'A loss of data that were paid for.'),
    NotOffered(
        'G23', 'Observations that stand for none are ones in XTRA and zeros in '
        'EfficientZero.', 'Always multiplied by 0.'),
    NotOffered(
        'G24', "EfficientZero's first release counted the prefix horizon "
        'across the batch.', 'Put right by its authors.'),
    NotOffered(
        'G26', 'The buffer of the pixel-wise maximum is not cleared when games '
        'end.', 'Shows only in the last frame of a game that ended early.'),
    NotOffered(
        'G27', 'No-ops at the start are 1 to 30 raw frames, never 0.', 'Kept.'),
    NotOffered(
        'G30', "Target and offline rows are told apart by the batch's half, "
        'which is wrong where the number of tasks does not divide 256.',
        'Rows carry their task.'),
    NotOffered(
        'G32', 'Task weights are smoothed by 1, rounded to 2 decimals, and set '
        'to 1 for a task without a measurement.', 'Kept; but for the drawn '
        'batches of G29 every task is measured in every measured step.'),
    NotOffered(
        'G33', 'The optimizer option pcgrad does not project gradients.',
        'A name.'),
    NotOffered(
        'G34', 'The factor 0.5 at predicted states also scales the losses of '
        'the same step.', 'Kept.'),
    NotOffered(
        'G35', 'The gradient is scaled by 1/5 for 6 terms, before clipping.',
        'Kept: `LearnerSettings.gradient_scale`.'),
    NotOffered(
        'G36', 'Some modules are created and never called.',
        'Not created; kept aside when an official checkpoint is read.'),
    NotOffered(
        'G37', 'XTRA ignores the argument for the number of residual blocks.',
        'It is `EfficientZeroConfig.representation_blocks`.'),
    NotOffered(
        'G38', 'Batch statistics mix target and offline rows, and predicted '
        'and encoded states.', 'Kept.'),
    NotOffered(
        'G39', 'The checkpoint kept as model.p is the best of the tests.',
        'A maximum over tests flatters; the last one is reported.'),
    NotOffered(
        'G40', 'Trees of finished games are searched on in tests.',
        'Costs time, changes nothing.'),
    NotOffered(
        'G41', "XTRA's repository does not start as it is: stray imports, a "
        'missing folder; the code of the first stage is absent.',
        'Nothing to follow.'),
    NotOffered(
        'G42', 'LightZero clips at 10, drops its rate elsewhere and does not '
        'reanalyze.', 'Another project; no reference for this.'),
    NotOffered(
        'G44', 'States in the search are rounded to 16 bits.',
        'Searches here are float32, so that they can be repeated.'),
    NotOffered(
        'G45', 'Target weights reach each reanalyzing process late and at '
        'random, and it starts from an untrained network.',
        'Depends on the load of the machine. Here one target network is '
        'refreshed at fixed steps and starts from the student.'),
)

_INTRODUCTION = """\
# Fidelity to the official code

<!-- Written by xtra_tf/experiments/fidelity_page.py: change the registry in
     xtra_tf/experiments/fidelity.py instead. -->

The papers and the official code of EfficientZero and XTRA differ from each
other in places, and the code has some faults. Each such point has a number
here, G1 to G45, and is either a *switch*, a setting of its own, or decided once
for all (listed at the end).

A *profile* is a value for every switch:

* `fixed`, the default: known faults are put right.
* `xtra_official`: what XTRA's repository does, literally.
* `efficientzero_head`: what the newest commit of EfficientZero's repository
  does. It differs from the code behind both papers in masks, value scaling,
  temperatures and the length of training games.

Name the profile's file after the protocol; the later file wins:

```
python -m launchers.xtra --root_dir=runs/official \\
    --gin_file=protocols/paper.gin --gin_file=profiles/xtra_official.gin
```

A single switch is set by a binding, e.g.
`--gin_bindings='LearnerSettings.loss_reduction = "per_task_sum"'`. The name of
the profile is recorded in `model.json` of every stage and in every result. With
a switch that has another value than the profile gives it, the name says so:
`fixed+G28`.

Sources are given as file and line. EZ stands for EfficientZero (commit
468bb03), XTRA for XTRA (commit 233a8fa) below `src/`.
"""


def page() -> str:
  """docs/fidelity.md."""
  parts = [_INTRODUCTION, '## What the profiles differ in\n', _differences(),
           '## The switches\n']
  parts.extend(_section(group) for group in _groups())
  parts.append('## Not offered\n\nDecided once for all profiles, with the '
               'reason.\n')
  parts.append(_table(
      ('number', 'what the official code does', 'why it is no switch'),
      [[entry.number, entry.what, entry.reason] for entry in NOT_OFFERED]))
  return '\n'.join(parts)


def gin_file(profile: str) -> str:
  """gin/profiles/<profile>.gin, all switches in the registry's order."""
  lines = [f'# Fidelity profile {profile}: name this file after a protocol.',
           '# docs/fidelity.md explains it; both are written from the registry '
           'in', '# xtra_tf/experiments/fidelity.py.', '',
           f'xtra_tf.experiments.ProfileSettings.name = {profile!r}', '']
  lines.extend(f'{switch.parameter} = {switch.value(profile)!r}   '
               f'# {switch.name}' for switch in SWITCHES)
  return '\n'.join(lines) + '\n'


def files() -> Dict[str, str]:
  """{path in the checkout: text} of everything that is written from here."""
  profiles = {os.path.join('gin', 'profiles', f'{name}.gin'): gin_file(name)
              for name in PROFILES}
  return {PAGE: page(), **profiles}


def write(root: str) -> None:
  """Writes `files` into a checkout."""
  for path, text in files().items():
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
      file.write(text)


def _groups() -> List[List[Switch]]:
  """Switches that differ in their stage alone stand together."""
  groups: Dict[tuple, List[Switch]] = {}
  for switch in SWITCHES:
    alike = dataclasses.replace(switch, parameter=_bare(switch))
    groups.setdefault(dataclasses.astuple(alike), []).append(switch)
  return list(groups.values())


def _differences() -> str:
  """One row for each group that is not the same in all profiles."""
  differing = [group for group in _groups()
               if any(group[0].value(p) != group[0].fixed for p in PROFILES)]
  return _table(
      ('switch', 'setting', *(f'`{p}`' for p in PROFILES)),
      [[group[0].name, _setting(group),
        *(_shown(group[0].value(p)) for p in PROFILES)] for group in differing])


def _section(group: List[Switch]) -> str:
  switch = group[0]
  values = ', '.join(f'{_shown(switch.value(p))} in `{p}`' for p in PROFILES)
  parameters = ', '.join(f'`{switch.parameter}`' for switch in group)
  return '\n'.join([
      f'### {switch.name}: {_setting(group)}\n',
      _paragraph(switch.what), _paragraph(f'Why: {switch.why}'),
      _paragraph(f'Values: {values}.'),
      _paragraph(f'Setting: {parameters}.'),
      _paragraph(f'Source: {switch.source}.')])


def _bare(switch: Switch) -> str:
  """The parameter without its stage."""
  return switch.parameter.rpartition('/')[2]


def _setting(group: List[Switch]) -> str:
  """Class and field, and the stages if it is not of all."""
  stages = ', '.join(switch.parameter.rpartition('/')[0] for switch in group)
  short = '.'.join(_bare(group[0]).split('.')[-2:])
  return f'`{short}`' + (f' ({stages})' if stages else '')


def _shown(value: object) -> str:
  if isinstance(value, str):
    return f'`{value}`'
  if isinstance(value, tuple):
    return f'`({", ".join(f"{x:.4g}" for x in value)})`'
  return f'`{value}`'


def _paragraph(text: str) -> str:
  # Settings are long words; breaking them would end their quotation.
  return textwrap.fill(text, 80, break_long_words=False,
                       break_on_hyphens=False) + '\n'


def _table(header: tuple, rows: List[List[str]]) -> str:
  lines = [header, ['---'] * len(header), *rows]
  return '\n'.join('| ' + ' | '.join(cells) + ' |' for cells in lines) + '\n'

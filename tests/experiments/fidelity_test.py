"""Registry, gin files, defaults and page are one; each profile makes a run."""

import dataclasses
import os
import re

from absl.testing import absltest, parameterized
import gin

from xtra_tf.errors import UsageError
from xtra_tf.experiments import (
  configuration,
  fidelity,
  fidelity_page,
  roles,
)
from xtra_tf.experiments.settings import STAGES, ProfileSettings

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
_WRITE = ("Run: python -c 'from xtra_tf.experiments import fidelity_page as p; "
          'p.write(".")\' in the checkout.')


def class_and_field(switch):
  """(package.Class, field) of a switch's parameter, without its scope."""
  name, field = switch.parameter.split('/')[-1].rsplit('.', 1)
  return name.removeprefix('xtra_tf.'), field


def configurable(switch):
  name = class_and_field(switch)[0].split('.')[-1]
  found = [c for c in configuration.CONFIGURABLES if c.__name__ == name]
  return found[0]


def stages_of(switch):
  scope = switch.parameter.rpartition('/')[0]
  return (scope,) if scope else STAGES


def resolved(switch, parts, stage):
  """The value that a stage of a run has."""
  name, field = class_and_field(switch)
  settings = parts.stages[stage]
  holders = {
      'planning.MctsPlanner': parts.planner,
      'experiments.StageSettings': settings.stage,
      'experiments.ReplaySettings': settings.replay,
      'learners.LearnerSettings': settings.learner,
      'learners.TaskWeightSettings': parts.task_weights,
      'targets.TargetSettings': settings.targets,
  }
  if name in holders:
    return getattr(holders[name], field)
  return getattr(configuration.resolve(configurable(switch)), field)


class RegistryTest(parameterized.TestCase):

  def tearDown(self):
    super().tearDown()
    gin.clear_config()

  @parameterized.parameters(*fidelity_page.files())
  def test_written_files_are_up_to_date(self, path):
    with open(os.path.join(_ROOT, path), encoding='utf-8') as file:
      self.assertEqual(file.read(), fidelity_page.files()[path], _WRITE)

  def test_no_other_profile_lies_about(self):
    found = os.listdir(os.path.join(_ROOT, 'gin', 'profiles'))
    self.assertCountEqual(found, [f'{p}.gin' for p in fidelity.PROFILES])

  @parameterized.named_parameters(*[
      (switch.parameter, switch) for switch in fidelity.SWITCHES])
  def test_default_is_the_fixed_value(self, switch):
    field = class_and_field(switch)[1]
    if '/' in switch.parameter:
      # A stage's value may be its gin file's.
      configuration.parse(['protocols/paper.gin'], [])
      stage, = stages_of(switch)
      parts = roles.resolve_parts(seed=0)
      self.assertEqual(resolved(switch, parts, stage), switch.fixed)
      return
    default, = (f.default for f in dataclasses.fields(configurable(switch))
                if f.name == field)
    self.assertEqual(default, switch.fixed)
    self.assertIs(type(default), type(switch.fixed))

  def test_one_switch_a_parameter(self):
    parameters = [switch.parameter for switch in fidelity.SWITCHES]
    self.assertLen(set(parameters), len(parameters))

  def test_every_number_is_a_switch_or_refused_with_a_reason(self):
    switches = {s.name for s in fidelity.SWITCHES if re.match(r'G\d', s.name)}
    refused = [entry.number for entry in fidelity_page.NOT_OFFERED]
    self.assertLen(set(refused), len(refused))
    self.assertEmpty(switches & set(refused))
    self.assertEqual(switches | set(refused), {f'G{i}' for i in range(1, 46)})
    for entry in fidelity_page.NOT_OFFERED:
      self.assertTrue(entry.what and entry.reason, entry.number)

  def test_page_defines_every_switch_and_number(self):
    page = fidelity_page.page()
    for switch in fidelity.SWITCHES:
      self.assertIn(f'### {switch.name}: ', page)
      self.assertEqual(page.count(f'`{switch.parameter}`'), 1)
    for entry in fidelity_page.NOT_OFFERED:
      self.assertIn(f'| {entry.number} | {entry.what} |', page)
    for line in page.split('\n'):
      if not line.startswith(('|', '#')):
        self.assertLessEqual(len(line), 80, line)


class ProfilesTest(parameterized.TestCase):

  def tearDown(self):
    super().tearDown()
    gin.clear_config()

  def parts(self, files, bindings=()):
    configuration.parse(files, bindings)
    return roles.resolve_parts(seed=0)

  @parameterized.parameters(*fidelity.PROFILES)
  def test_a_file_binds_exactly_the_switches(self, profile):
    configuration.parse([f'profiles/{profile}.gin'], [])
    bound = set(configuration.bound_values())
    self.assertEqual(bound, {
        'ProfileSettings.name',
        *(_minimal(switch.parameter) for switch in fidelity.SWITCHES)})
    for switch in fidelity.SWITCHES:
      self.assertEqual(gin.query_parameter(switch.parameter),
                       switch.value(profile))

  @parameterized.product(
      profile=fidelity.PROFILES,
      protocol=('protocols/paper.gin', 'protocols/smoke.gin'))
  def test_every_part_of_a_run_has_the_profiles_values(self, profile, protocol):
    parts = self.parts([protocol, f'profiles/{profile}.gin'])
    self.assertEqual(parts.description['profile'], profile)
    for switch in fidelity.SWITCHES:
      for stage in stages_of(switch):
        self.assertEqual(resolved(switch, parts, stage), switch.value(profile),
                         f'{switch.parameter}, stage {stage}')

  def test_a_stage_without_a_switch_of_its_own_keeps_the_default(self):
    parts = self.parts(['protocols/smoke.gin', 'profiles/xtra_official.gin'])
    forms = {stage: parts.stages[stage].targets.stored_value
             for stage in STAGES}
    self.assertEqual(forms.pop('finetune'), 'root_value')
    self.assertEqual(set(forms.values()), {'bootstrap'})

  @parameterized.parameters('protocols/paper.gin', 'protocols/demo.gin',
                            'protocols/tiny_tasks.gin', 'protocols/smoke.gin')
  def test_without_a_profile_a_run_is_fixed(self, protocol):
    self.assertEqual(self.parts([protocol]).description['profile'], 'fixed')

  def test_the_file_named_last_wins(self):
    files = ['protocols/smoke.gin', 'profiles/xtra_official.gin',
             'profiles/fixed.gin']
    parts = self.parts(files)
    self.assertEqual(parts.description['profile'], 'fixed')
    self.assertEqual(parts.planner.min_max_reward, 'parent')
    parts = self.parts([files[0], files[2], files[1]])
    self.assertEqual(parts.description['profile'], 'xtra_official')
    self.assertEqual(parts.planner.min_max_reward, 'previous_node')

  @parameterized.parameters(
      ([], ['LearnerSettings.loss_reduction = "per_task_sum"'], 'fixed+G28'),
      ([], ['LearnerSettings.loss_reduction = "batch_mean"'], 'fixed'),
      ([], ['scratch/TargetSettings.truncation = "terminal"',
            'MctsPlanner.tie_break = "lowest"'], 'fixed+ties+G18'),
      ([], ['TargetSettings.stored_value = "root_value"'], 'fixed+G13'),
      ([], ['student/TargetSettings.stored_value = "root_value"'], 'fixed'),
      (['profiles/xtra_official.gin'],
       ['TaskWeightSettings.gradient_clamp = None',
        'StageSettings.temperature_boundaries = [0.5, 0.75]'],
       'xtra_official+G31'),
      ([], ['ProfileSettings.name = "efficientzero_head"'],
       'efficientzero_head+'))
  def test_a_switch_set_by_hand_shows_in_the_name(self, files, bindings, name):
    found = self.parts(['protocols/smoke.gin', *files],
                       bindings).description['profile']
    if name.endswith('+'):
      self.assertStartsWith(found, f'{name}G1+G3')
    else:
      self.assertEqual(found, name)

  def test_unknown_profile(self):
    with self.assertRaisesRegex(UsageError, "no fidelity profile 'official'. "
                                'Did you mean xtra_official|Known are'):
      ProfileSettings('official')
    with self.assertRaisesRegex(UsageError, r'no gin file profiles/offic.*'):
      configuration.parse(['profiles/official.gin'], [])


def _minimal(parameter):
  """As gin writes it: scope, class and field."""
  scope, _, bare = parameter.rpartition('/')
  return f'{scope}/' * bool(scope) + '.'.join(bare.split('.')[-2:])


if __name__ == '__main__':
  absltest.main()

"""Where we differ from the official code, as named switches.

Known faults of the official code are put right by default; each is a setting
of its own, so that a run can have the official behaviour. A profile is a value
for every switch: `gin/profiles/<profile>.gin`, to be named after the protocol.

A new switch is one entry here; `fidelity_page.write` then writes the profiles
and docs/fidelity.md anew, and tests hold them, the registry and the settings'
defaults together.
"""

import dataclasses
from typing import Any, Tuple

DEFAULT_PROFILE = 'fixed'
PROFILES = ('fixed', 'xtra_official', 'efficientzero_head')


@dataclasses.dataclass(frozen=True)
class Switch:
  """One point in which the profiles may differ.

  Attributes:
    name: a number of docs/fidelity.md, e.g. `G13`, or a few words.
    parameter: the gin parameter that it is, with the scope of a stage where
      it is of that stage alone.
    fixed: its value where faults are put right; the setting's default.
    xtra_official: its value in the official code of XTRA.
    efficientzero_head: its value in EfficientZero's repository HEAD; the fixed
      one where EfficientZero has no such part.
    what: what the official code does, and what the other value does.
    why: why the fixed value is what it is.
    source: file and line of the official code; EZ is EfficientZero's
      repository (commit 468bb03), XTRA is XTRA's (commit 233a8fa), below src/.
  """
  name: str
  parameter: str
  fixed: Any
  xtra_official: Any
  efficientzero_head: Any
  what: str
  why: str
  source: str

  def value(self, profile: str) -> Any:
    """Its value in one of `PROFILES`."""
    return getattr(self, profile)


_SEARCH = (
    Switch(
        'G1', 'xtra_tf.planning.MctsPlanner.min_max_reward',
        'parent', 'previous_node', 'previous_node',
        what='After every simulation the range of Q is rebuilt by a walk over '
        'the tree. The official walk subtracts the value prefix of the node '
        'that it met before (`previous_node`), which is the parent only for '
        "the first of several children; `parent` subtracts the parent's.",
        why='A Q whose reward is a difference of unrelated prefixes is none. '
        'The range, and with it the balance of prior and Q, is wrong whenever '
        'predicted prefixes are not 0.',
        source='EZ core/ctree/cnode.cpp:256-284; XTRA '
        'core/ctree/cnode.cpp:282-310'),
    Switch(
        'G3', 'xtra_tf.planning.MctsPlanner.root_value_divisor',
        'simulations', 'simulations_plus_one', 'simulations_plus_one',
        what='The official root begins with a visit of value 0, so that its '
        'value is the sum of all backed-up values over simulations + 1.',
        why='That draws root values towards 0, by 1/51 with 50 simulations. '
        'They are value targets of offline tasks.',
        source='EZ core/ctree/cnode.cpp:204-219; XTRA '
        'core/ctree/cnode.cpp:219-245'),
    Switch(
        'ties', 'xtra_tf.planning.MctsPlanner.tie_break',
        'random', 'random', 'random',
        what='Among equal scores, nearer than 1e-6, a search takes a random '
        'one, or the `lowest` action. The official random numbers are seeded '
        "from the clock; ours from the run's seed.",
        why='The first child of every node is always such a tie, so that the '
        'lowest one would be visited more for no reason. `lowest` is for '
        'comparing searches number by number.',
        source='EZ core/ctree/cnode.cpp:301-331,380-387; XTRA '
        'core/ctree/cnode.cpp:431-438'),
)

_TARGETS = (
    Switch(
        'G7', 'xtra_tf.experiments.StageSettings.reanalyze_noise_fraction',
        0.25, 0.25, 0.25,
        what='Searches that make policy targets have Dirichlet noise at the '
        'root, like those that play; 0 leaves it out.',
        why='Published behaviour, and it keeps targets from collapsing; so '
        'all profiles have it.',
        source='EZ core/reanalyze_worker.py:421-422; XTRA '
        'core/game_detach.py:477-478'),
    Switch(
        'G13', 'finetune/xtra_tf.targets.TargetSettings.stored_value',
        'bootstrap', 'root_value', 'bootstrap',
        what='Value target of an offline row. Official (`root_value`): the '
        'stored root value of the same state, undiscounted, plus the next n '
        'discounted rewards. `bootstrap`: these rewards plus the discounted '
        'value of the state after them.',
        why='A root value holds the rewards that follow it, so that the '
        "official sum counts them twice, unless the authors' unpublished data "
        'hold shifted values under that name.',
        source='XTRA core/game_detach.py:208-219; EfficientZero has no offline '
        'rows'),
    Switch(
        'G15', 'xtra_tf.targets.TargetSettings.past_the_end',
        'absorbing', 'absorbing', 'masked',
        what='States behind the end of a game. `absorbing`: value 0 and no '
        'further reward are trained, under random actions. `masked`: only the '
        'last state itself is trained, to value 0.',
        why='The published runs had absorbing ends. Behind an end that is none '
        '(truncation, data that break off) there is never a target, unless '
        'G18 makes it one.',
        source='XTRA core/train.py:314-316; EZ core/train.py:163-165'),
    Switch(
        'G18', 'xtra_tf.targets.TargetSettings.truncation',
        'bootstrap', 'terminal', 'terminal',
        what='A game that the time limit ends, or whose data break off. '
        'Official (`terminal`): like a game over. `bootstrap`: value targets '
        'go on from the last observation.',
        why='The game would have gone on; a value of 0 there depends on a '
        'clock that the network does not see.',
        source='EZ core/utils.py (TimeLimit), core/selfplay_worker.py; XTRA '
        'core/utils.py, core/train.py'),
    # Bound stage by stage in gin/stages, so here too.
    *(Switch(
        'G43',
        f'{stage}/xtra_tf.experiments.StageSettings.policy_reanalyze_ratio',
        1.0, 1.0, 0.99,
        what="Share of the played task's rows whose policy targets are "
        'searched anew; the others keep the visits of the search that played.',
        why="Each official script has its own number; the default is XTRA's.",
        source='EZ main.py:39-40; XTRA script/xtra_finetune.sh')
      for stage in ('data', 'finetune', 'scratch')),
)

_LEARNER = (
    Switch(
        'G17', 'xtra_tf.learners.LearnerSettings.value_scaling',
        'odd', 'xtra', 'odd',
        what='Value scaling of targets: h(x) = sign(x) (sqrt(|x| + 1) - 1) + '
        "0.001 x. XTRA's (`xtra`) puts the last term inside the brackets: for "
        'negative x its sign is wrong.',
        why='The inverse is the correct one in both, so that negative targets '
        'shrink by 1 to 2 %. Positive ones are the same.',
        source='XTRA core/config.py:205-214; put right in EZ '
        'core/config.py:303-313'),
    Switch(
        'G25', 'xtra_tf.experiments.StageSettings.temperature_boundaries',
        (0.5, 0.75), (0.5, 0.75), (0.4166666666666667, 0.625),
        what='When the visit temperature falls to 0.5 and to 0.25, as shares '
        "of the stage's updates. XTRA: 60 000 and 90 000 of 120 000; "
        'EfficientZero HEAD: 50 000 and 75 000.',
        why="XTRA's baselines were made with XTRA's schedule, so the default "
        'follows it.',
        source='XTRA config/atari/__init__.py:106-115; EZ '
        'config/atari/__init__.py:85-94'),
    Switch(
        'G28', 'xtra_tf.learners.LearnerSettings.loss_reduction',
        'batch_mean', 'batch_mean', 'batch_mean',
        what='The code takes the mean over all rows (`batch_mean`), half of '
        "which are the target's. The paper writes the target's loss plus the "
        'weighted losses of the offline tasks (`per_task_sum`), which has '
        "twice the target's weight and 2 m times an offline task's share.",
        why='The code made the published numbers; all profiles follow it. '
        "`per_task_sum` is for the paper's formula.",
        source='XTRA core/train.py:401-427; paper, section 2.2'),
    Switch(
        'G31', 'xtra_tf.learners.TaskWeightSettings.gradient_clamp',
        None, 5.0, None,
        what='Before task gradients are compared the official code clamps each '
        'of their elements to [-5, 5]: the bound of the norm, used for '
        'elements.',
        why='An element of 5 lies in a gradient that is clipped anyway; a '
        'cosine should see the gradient as it is.',
        source='XTRA core/pcgrad_amp.py:87'),
    Switch(
        'use of task weights', 'xtra_tf.learners.TaskWeightSettings.use',
        'sampling', 'loss', 'sampling',
        what="The official code multiplies the loss of each offline task's "
        'rows by its weight (`loss`). `sampling` draws the offline rows from '
        'the tables in proportion to the weights. A window of measured steps '
        'has rows of all tasks in both.',
        why='Both have the same expected gradient (a test holds them to it), '
        'but rows of a task of weight 0.1 cost as much as others and bring a '
        'tenth: sampling spends them on the tasks that agree.',
        source='XTRA core/train.py:401-427'),
    Switch(
        'importance maximum',
        'xtra_tf.learners.LearnerSettings.importance_decay',
        0.99, 0.0, 0.0,
        what='Importance weights are divided by the greatest of the sub-batch '
        '(0.0), or by a moving average of it with this decay.',
        why="A row's weight should not depend on the rows beside it.",
        source='EZ core/replay_buffer.py:65-125; XTRA core/replay_buffer.py'),
)

_ENVIRONMENT = (
    Switch(
        'G19', 'xtra_tf.experiments.TaskSettings.codec',
        'lossless', 'jpeg', 'jpeg',
        what='Official observations have been through a JPEG file (`jpeg`: '
        'quality 95, half the chroma, red and blue exchanged for the colour '
        'conversion), in playing, training and evaluation alike. `lossless`: '
        'they are what the emulator shows.',
        why='On 96 x 96 frames the mean error is 1 to 12 of 255; a lossless '
        'file is smaller. Official weights want official frames, so '
        '`launchers.evaluate` goes by what the checkpoint says of itself.',
        source='EZ core/utils.py:321-348; XTRA core/utils.py:235-249, '
        'config/atari/env_wrapper.py:26-27'),
    Switch(
        'training episode limit',
        'xtra_tf.experiments.StageSettings.max_episode_steps',
        27_000, 27_000, 3_000,
        what='Agent steps after which a training game is truncated.',
        why="XTRA's baselines were made with XTRA's limit, so the default "
        'follows it.',
        source='EZ config/atari/__init__.py:22; XTRA '
        'config/atari/__init__.py:22'),
)

_DATA = (
    Switch(
        'G14', 'xtra_tf.experiments.ReplaySettings.block_length',
        0, 400, 400,
        what='The official code stores a life in blocks of 400 steps. Behind '
        'the last step of a block values are trained to 0 and prefixes to '
        'stay, under random actions, and value targets do not bootstrap across '
        'it; only rewards are summed across. 0: lives are whole.',
        why='The game goes on there. In games with long lives 1 to 2.5 % of '
        'the targets are drawn towards 0.',
        source='EZ core/reanalyze_worker.py:81-90,368-376, '
        'core/game.py:84-116; XTRA core/game_detach.py:60-71'),
    *(Switch(
        'G21', f'{stage}/xtra_tf.experiments.StageSettings.random_warm_up',
        True, False, True,
        what='Whether the steps before the first update of this stage are '
        'played at random, or by search. XTRA searches from the first step, '
        'whatever its network knows, as its test for a given checkpoint is '
        'always true.',
        why='A search with an untrained network is a slow way to play at '
        'random. In finetuning the student plays, in all profiles.',
        source='EZ core/selfplay_worker.py:291-296; XTRA core/train.py:798, '
        'core/config.py:363') for stage in ('data', 'scratch')),
    Switch(
        'G21', 'xtra_tf.experiments.StageSettings.warm_up_target',
        'none', 'uniform', 'uniform',
        what='Policy target that is stored for steps played at random: equal '
        'visits of all legal actions, as if a search had found them, or '
        '`none`. It is read where a policy is not reanalyzed.',
        why='A uniform target says nothing of the state. Rows without a target '
        'are reanalyzed before others.',
        source='EZ core/selfplay_worker.py:291-296'),
    Switch(
        'G29', 'xtra_tf.experiments.ReplaySettings.offline_composition',
        'one_of_each', 'random', 'one_of_each',
        what='Offline rows of a batch: one sub-batch of each task, or '
        '(`random`) as many sub-batches, each of a task drawn at random. '
        'Officially all tasks fill one queue, from which sub-batches are taken '
        'blindly, so that a task may come twice and another one not at all. '
        'With `random` the rows that are left over by the division by the '
        'number of tasks are left out, and task weights count the batches that '
        'a task is in.',
        why='What a step learns from should not depend on which process was '
        'faster.',
        source='XTRA core/train.py:1114-1124,1261,1277; EfficientZero has no '
        'offline rows'),
    Switch(
        'replacement', 'xtra_tf.experiments.ReplaySettings.with_replacement',
        True, False, False,
        what='Whether a sub-batch may hold a window twice. Officially it may '
        'not; windows are then drawn by a seeded index in the process.',
        why='Reverb draws with replacement, in a process of its own if need '
        'be. With as many windows as are usual the difference is small.',
        source='EZ core/replay_buffer.py:65-125; XTRA core/replay_buffer.py'),
)

_HEAD = tuple(
    Switch(
        'action head', f'{stage}/xtra_tf.experiments.StageSettings.action_head',
        'family', 'family', 'task',
        what='Actions that the network of this stage knows. `family`: all 18, '
        'of which the search sees those of the game. `task`: those of the game '
        'alone; action plane and policy head count them from 0.',
        why='A network that several games share needs the actions of all. The '
        'paper leaves open which head its EfficientZero had.',
        source='EZ config/atari/__init__.py (set_game), config/atari/model.py; '
        'XTRA core/model.py:82-83,110-111, core/train.py:988-991')
    for stage in ('data', 'teacher', 'scratch'))

SWITCHES: Tuple[Switch, ...] = (
    _SEARCH + _TARGETS + _LEARNER + _ENVIRONMENT + _DATA + _HEAD)

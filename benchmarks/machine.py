"""On what machine, and beside what other load, a benchmark ran."""

import os
import platform
from typing import Any, Dict


def describe() -> Dict[str, Any]:
  """Processor, cores, memory and the load average of the last minute."""
  with open('/proc/cpuinfo', encoding='utf-8') as file:
    lines = [line.split(':', 1) for line in file if ':' in line]
  fields = {name.strip(): value.strip() for name, value in lines}
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  return {'processor': fields.get('model name', platform.machine()),
          'family': fields.get('cpu family'), 'model': fields.get('model'),
          'cores': len(os.sched_getaffinity(0)),
          'memory_gib': round(memory / 2**30, 1),
          'system': f'{platform.system()} {platform.release()}',
          'load_average': os.getloadavg()[0]}

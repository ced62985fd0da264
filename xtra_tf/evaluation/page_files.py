"""The files of a page: figures and tables beside it, and its template."""

import base64
import contextlib
import os
from typing import Any, List, NamedTuple, Optional

import jinja2
from matplotlib.figure import Figure

from xtra_tf.evaluation import figure_style
from xtra_tf.evaluation.formatting import Table
from xtra_tf.runs import make_folder, write_bytes

_TEMPLATES = os.path.join(os.path.dirname(__file__), 'templates')
_FOLDERS = ('figures', 'tables')
_ENDINGS = ('.png', '.svg', '.gif', '.csv')


class Picture(NamedTuple):
  """A figure or animation of the page."""
  data: str  # data: URI, '' where there is none
  file: str  # path relative to the page
  missing: str  # why there is none


class PageFiles:
  """The files beside a page."""

  def __init__(self, folder: str, vector: bool = False):
    """Makes the folders.

    Args:
      folder: of the page; exists.
      vector: whether figures are written as SVG too.
    """
    self._folder = folder
    self._vector = vector
    self._written: List[str] = []
    for name in _FOLDERS:
      make_folder(os.path.join(folder, name))

  def write(self, path: str, data: bytes) -> None:
    """Writes a file; the path is relative to the page."""
    write_bytes(os.path.join(self._folder, path), data)
    self._written.append(path)

  def picture(self, name: str, figure: Optional[Figure],
              missing: str) -> Picture:
    """Writes a figure as PNG; without one, the page says what is missing."""
    if figure is None:
      return Picture('', '', missing)
    if self._vector:
      self.write(f'figures/{name}.svg', figure_style.to_svg(figure))
    return self.image(f'figures/{name}.png', figure_style.to_png(figure))

  def image(self, path: str, data: bytes) -> Picture:
    """Writes a PNG or GIF and hands it back for the page."""
    kind = path.rpartition('.')[2]
    self.write(path, data)
    return Picture(data_uri(kind, data), path, '')

  def table(self, table: Table) -> Table:
    """Writes a table as csv and hands it back for the page."""
    self.write(f'tables/{table.name}.csv', table.to_csv().encode('utf-8'))
    return table

  def remove_stale(self) -> None:
    """Removes what an older page has left and this one does not have."""
    for name in _FOLDERS:
      for file in os.listdir(os.path.join(self._folder, name)):
        if (f'{name}/{file}' not in self._written
            and file.endswith(_ENDINGS)):
          with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._folder, name, file))


def data_uri(kind: str, data: bytes) -> str:
  """A picture as an address that holds it.

  Args:
    kind: `png` or `gif`.
    data: the file's content.
  """
  return f'data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}'


def fill(template: str, **context: Any) -> str:
  """Fills a template; whatever is put in is escaped.

  Args:
    template: file of the folder templates/.
    **context: what the template names; a name that is missing is an error.
  """
  environment = jinja2.Environment(
      loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
      undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  return environment.get_template(template).render(context)

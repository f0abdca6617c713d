"""The folder of a run goes when its service does, however that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.state.run_folder import make_run_folder, remove_unless_held, share_run_folder

PARENT = """
from pathlib import Path
import sys
from app.state.run_folder import make_run_folder
with make_run_folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def leave_behind(tmp_path: Path) -> Path:
    """Return the folder of a parent that was killed."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    folder = Path(parent.stdout.readline().strip())
    # The others of the machine leave it alone while it lives.
    assert not remove_unless_held(folder)
    parent.kill()
    parent.communicate()
    assert folder.is_dir()
    return folder


def test_the_next_start_clears_away_what_a_killed_parent_left(tmp_path: Path) -> None:
    left = leave_behind(tmp_path)
    strange = tmp_path / "milieu-of-something-else"
    strange.mkdir()

    with make_run_folder(tmp_path) as first, make_run_folder(tmp_path) as second:
        assert not left.exists()
        assert first.is_dir()
        assert second.is_dir()

    assert list(tmp_path.iterdir()) == [strange]


def test_the_last_worker_of_a_killed_parent_deletes_the_folder(tmp_path: Path) -> None:
    left = leave_behind(tmp_path)

    with share_run_folder(left):
        with share_run_folder(left):
            pass
        assert left.is_dir()

    assert not left.exists()


def test_a_worker_that_ends_leaves_the_folder_to_its_parent(tmp_path: Path) -> None:
    with make_run_folder(tmp_path) as folder:
        with share_run_folder(folder):
            pass
        assert folder.is_dir()

    assert not folder.exists()

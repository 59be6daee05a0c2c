"""scripts/run in the foreground of a real terminal: Ctrl-C ends the set, and so does closing it."""

import os
import pathlib
import pty
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN_DIR = os.environ.get("SWITCHBOARD_BIN_DIR", str(ROOT / "build" / "bin"))
PATIENCE_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TerminalTest(unittest.TestCase):
    def setUp(self):
        self.run_dir = tempfile.mkdtemp(prefix="sb-")
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            arguments = ["run", "--gateways", "2", "--run-dir", self.run_dir]
            arguments += ["--listen", f"127.0.0.1:{free_port()}"]
            environment = {k: v for k, v in os.environ.items() if not k.startswith("SWITCHBOARD_")}
            environment["SWITCHBOARD_BIN_DIR"] = BIN_DIR
            os.execve(ROOT / "scripts" / "run", arguments, environment)
        self.read_until(b"Switchboard is at")

    def tearDown(self):
        subprocess.run([ROOT / "scripts" / "stop", "--run-dir", self.run_dir], timeout=PATIENCE_S)
        shutil.rmtree(self.run_dir)

    def read_until(self, text):
        seen = b""
        deadline = time.monotonic() + PATIENCE_S
        while text not in seen:
            left = deadline - time.monotonic()
            self.assertTrue(left > 0 and select.select([self.terminal], [], [], left)[0], seen)
            seen += os.read(self.terminal, 4096)

    def keep_reading(self):
        """What is still said, to a terminal that somebody reads, until nobody is left to say it."""
        try:
            while os.read(self.terminal, 4096):
                pass
        except OSError:
            pass

    def expect_nothing_left(self):
        ended = select.select([os.pidfd_open(self.pid)], [], [], PATIENCE_S)[0]
        self.assertTrue(ended, "scripts/run is still there")
        _, status = os.waitpid(self.pid, 0)
        self.assertTrue(os.WIFEXITED(status), status)
        check = [ROOT / "scripts" / "stop", "--check", "--run-dir", self.run_dir]
        self.assertEqual(subprocess.run(check, timeout=PATIENCE_S).returncode, 1)

    def test_ctrl_c_ends_the_set(self):
        os.write(self.terminal, b"\x03")
        self.keep_reading()
        os.close(self.terminal)
        self.expect_nothing_left()

    def test_closing_the_terminal_ends_the_set(self):
        os.close(self.terminal)
        self.expect_nothing_left()


if __name__ == "__main__":
    unittest.main()

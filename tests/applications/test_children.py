"""What a child process writes is taken as an answer only where it is one."""

from applications import children


def test_lines_that_are_no_object_are_passed_over():
    lines = [b'{"ready": true}\n', b"", b"warning: slow\n", b"5\n", b'"text"\n', b"[1]\n"]
    lines += [b"null\n", b'{"epoch": {"lo\n', b"\xff\xfe\n", b'{"metrics": {}}\n']
    assert list(children.answers(lines)) == [{"ready": True}, {"metrics": {}}]

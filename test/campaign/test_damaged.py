"""A resume of a file with a damaged block of metadata ends, with an error where the block is needed."""

import shutil
import subprocess

import campaign
import plans
import verdict

# Of object headers, B-trees and extensible arrays, the indices of chunks.
SIGNATURES = [b"OHDR", b"BTHD", b"BTLF", b"EAHD", b"EAIB", b"EADB"]


def places(content, signature):
    """The first and the last block of this kind."""
    return sorted({content.find(signature), content.rfind(signature)} - {-1})


def test_a_resume_of_a_damaged_file_ends(build, tmp_path):
    path, old, plan_file = tmp_path / "run.h5", tmp_path / "old.h5", tmp_path / "plan"
    fields = [plans.Field("x", "float64", (100, 3), 0, chunk_rows=3), plans.Field("y", "float64", (), 1, chunk_rows=2)]
    plan = plans.Plan(1, "damaged", [plans.Group("group0", "every", fields)], count=50, once_salt=7)
    plan.write(plan_file)
    command = [build / "test/campaign/writer", old, plan_file]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=campaign.LONGEST, check=True)
    content, told = old.read_bytes(), []
    for signature in SIGNATURES:
        for place in places(content, signature):
            shutil.copy(old, path)
            with open(path, "r+b") as file:
                file.seek(place + 9)
                file.write(bytes([content[place + 9] ^ 0x10]))
            result = subprocess.run([command[0], path, plan_file, "resume=40", "first=41"], stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=campaign.LONGEST, check=False)
            report = verdict.Report(result.stdout)
            assert result.returncode >= 0, (signature, place, result)
            assert (result.returncode == 0) == report.closed == (report.failed is None), (signature, place, result)
            told.append(report.failed or "")
    assert len(told) >= 8 and any("reading damaged metadata" in text for text in told), told

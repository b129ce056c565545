"""`python -m pytest`: a short search from start to firmware."""

import edge
import pytest
import yaml


def test_sizes_have_units_of_1024():
    assert [edge.bytes_of(size) for size in ("64k", "1M", "512", 512)] == [65536, 2**20, 512, 512]
    with pytest.raises(ValueError):
        edge.bytes_of("64 kg")


def test_the_firmware_fits(tmp_path):
    search = {"data": "digits", "size": 8, "trials": 1, "epochs": 1, "algorithm": "random"}
    config = {"sram": "24k", "flash": "64k", "search": search, "final_epochs": 1, "tolerance": 1}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    figures = edge.main(
        ["--config", str(tmp_path / "config.yaml"), "--run-dir", str(tmp_path / "runs")]
    )
    assert figures["fits"]
    assert list((tmp_path / "runs" / "firmware").glob("*.c"))
    assert figures["update"] < figures["flash"]

"""The environment of the Dagster UI."""

from pathlib import Path

from pipelines.dagster_home import prepare_ui


def test_the_ui_gets_the_variables_of_the_env_file(tmp_path: Path) -> None:
    """Runs read the keys from the environment."""
    (tmp_path / ".env").write_text("IPLUM_SECRET_KEY=file\nEAST_KEY=east\nIPLUM_DATA=there\n")
    home, variables = prepare_ui({"IPLUM_SECRET_KEY": "process", "PYTHONWARNINGS": "error"}, tmp_path)
    assert home == tmp_path / "there" / "dagster"
    assert (variables["IPLUM_SECRET_KEY"], variables["EAST_KEY"]) == ("process", "east")
    assert variables["DAGSTER_HOME"] == str(home)
    assert variables["PYTHONWARNINGS"].startswith("error,ignore:")

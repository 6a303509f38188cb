r"""Measure how many clicks a model needs on prepared datasets.

python -m mst_jax.evaluate --checkpoint RUN --dataset grabcut,berkeley \
  --data-dir data --out noc.json --report report

The same command resumes a killed evaluation.
"""

import argparse
import sys
import zlib
from collections.abc import Sequence

from mst_jax.atomic_io import atomic_write
from mst_jax.command_line import EXIT_INTERRUPTED, zoom_changes
from mst_jax.compilation_cache import enable_compilation_cache
from mst_jax.evaluation.evaluation_task import (
    EvaluationTask,
    count_training_images,
    evaluate_dataset,
    find_split,
)
from mst_jax.evaluation.protocol import (
    EvaluationProtocol,
    UserOptions,
    published_protocol,
)
from mst_jax.evaluation.result_tables import to_csv, to_markdown
from mst_jax.evaluation.results_log import ResultsLog, params_checksum
from mst_jax.evaluation.summary import Summary, read_summaries, write_summaries
from mst_jax.evaluation_flags import REPORT_FILE, check_flags, make_parser
from mst_jax.exporting.exported_model import ExportedModel, load_model
from mst_jax.interaction.inference_options import override_zoom, zoom_options_of
from mst_jax.interaction.refine import RefinementOptions
from mst_jax.models.trained_model import TrainedModel


def main(argv: Sequence[str] | None = None) -> None:
    """Run the evaluation command: print the tables and write the files.

    Args:
        argv: Words of the command line; None = those of this process.
    """
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        enable_compilation_cache(options.compilation_cache)
        summaries = evaluate(options)
    except (ValueError, OSError) as error:
        parser.exit_with_error(error)
    except KeyboardInterrupt:
        parser.exit(EXIT_INTERRUPTED, "stopped; the same command resumes it\n")
    print(to_markdown(summaries))


def evaluate(options: argparse.Namespace) -> list[Summary]:
    """Evaluate all datasets and write the files.

    Args:
        options: Values of the flags, see `make_parser`.

    Returns:
        Summary of each dataset, see `evaluation.summary.summarize_sessions`.

    Raises:
        ValueError: No such dataset, split or checkpoint, or a number out of range.
    """
    # 1. Everything that can be wrong is checked before the first session.
    check_flags(options)
    earlier_summaries = {path.stem: read_summaries(path) for path in options.compare}
    model = load_model(options.checkpoint, dtype=options.dtype)
    dataset_names = options.dataset.split(",")
    tasks = [make_task(options, model, dataset) for dataset in dataset_names]
    num_training_images = [warn_of_training_images(model, task) for task in tasks]
    # 2. The log resumes only an evaluation of the same model and tasks.
    model_settings = {
        "checkpoint": str(options.checkpoint),
        "params_checksum": model_checksum(model),
        "dtype": getattr(model, "compute_dtype", None),
    }
    log_path = options.out.with_suffix(".jsonl")
    if options.restart:
        log_path.unlink(missing_ok=True)
    tasks_json = [task.to_json() for task in tasks]
    results_log = ResultsLog(log_path, {**model_settings, "datasets": tasks_json})
    # 3. Run the sessions. An interrupted evaluation leaves the log.
    try:
        summaries = [
            evaluate_dataset(model, task, results_log, batch_size=options.batch_size)
            for task in tasks
        ]
        for summary, num_images in zip(summaries, num_training_images, strict=True):
            summary["settings"] |= model_settings
            summary["settings"]["num_training_images"] = num_images
        write_results(options, summaries)
        if options.report:
            # Plots need matplotlib, which an evaluation without report does not.
            from mst_jax.reporting.evaluation_report import write_report

            report_path = options.report / REPORT_FILE
            write_report(report_path, model, tasks, summaries, earlier_summaries)
    finally:
        results_log.close()
    log_path.unlink()
    return summaries


def model_checksum(model: TrainedModel | ExportedModel) -> str:
    """Return a checksum of the parameters, or that of an exported file.

    Args:
        model: Model to evaluate.
    """
    if isinstance(model, ExportedModel):
        return f"{zlib.crc32(model.path.read_bytes()):08x}"
    return params_checksum(model.params)


def make_task(
    options: argparse.Namespace, model: TrainedModel | ExportedModel, dataset: str
) -> EvaluationTask:
    """Make the task of one dataset: all that its results depend on, except the model.

    Args:
        options: Values of the flags, see `make_parser`.
        model: The model; its config has the zoom that it was trained for.
        dataset: Name of the dataset.

    Raises:
        ValueError: No such dataset or split, or an option out of range.
    """
    # The flags of zoom take precedence over --protocol, and that over the model's config.
    default_zoom = zoom_options_of(model)
    if options.protocol:
        default_zoom = published_protocol(options.protocol, dataset).zoom
    zoom_options = override_zoom(default_zoom, **zoom_changes(options))
    # Each block of options validates itself.
    refinement_options = RefinementOptions(
        num_steps=options.refine_steps,
        max_clicks=options.refine_max_clicks,
        convergence_pixels=options.refine_convergence_pixels,
    )
    user_options = UserOptions(
        click_spread=options.click_spread, first_click=options.first_click
    )
    task = EvaluationTask(
        dataset=dataset,
        data_dir=str(options.data_dir),
        split=options.split or find_split(dataset, options.data_dir, model.config),
        limit=options.limit,
        min_area_fraction=options.min_area_fraction,
        num_users=options.num_users,
        stop_iou=options.stop_iou,
        protocol=EvaluationProtocol(
            options.max_clicks, zoom_options, refinement_options, user_options
        ),
    )
    # A missing dataset fails now rather than after the sessions of the others.
    task.open_dataset()
    return task


def warn_of_training_images(
    model: TrainedModel | ExportedModel, task: EvaluationTask
) -> int:
    """Warn if a model was trained on images of its evaluation, and return how many.

    Args:
        model: Model to evaluate.
        task: Objects and protocol.
    """
    num_images = count_training_images(
        model.config, task.dataset, task.data_dir, task.split
    )
    if num_images:
        sys.stderr.write(
            f"warning: the model was trained on {num_images} of the "
            f"{len(task.open_dataset())} images of {task.dataset}, split {task.split!r}: "
            "the result is better than on new images; choose another --split\n"
        )
    return num_images


def write_results(options: argparse.Namespace, summaries: list[Summary]) -> None:
    """Write the JSON file, and the other files that the flags name.

    Args:
        options: Values of the flags, see `make_parser`.
        summaries: Summary of each dataset.
    """
    # Each file appears complete or not at all; an older one stays until then.
    write_summaries(options.out, summaries)
    if options.csv:
        atomic_write(options.csv, to_csv(summaries).encode())
    if options.markdown:
        atomic_write(options.markdown, f"{to_markdown(summaries)}\n".encode())


if __name__ == "__main__":
    main()

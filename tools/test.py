"""Evaluate a model on its config's test set.

    python tools/test.py CONFIG --adapter work_dirs/NAME/adapter.safetensors      the base with a trained adapter
    python tools/test.py CONFIG --adapter none                                    the base alone
    python tools/test.py CONFIG work_dirs/NAME/iter_10000.pth                     a full training checkpoint
    python tools/test.py CONFIG --adapter FILE --dump hands.npz                   keep predictions and truth for re-scoring

The metrics go to the log and, as JSON, to the work dir.
"""
import argparse
import json
import sys
from pathlib import Path

from mmengine.config import DictAction
from mmengine.dist import is_main_process

from hmradapter.engine import HMRRunner
from hmradapter.engine.config import load_config
from hmradapter.engine.launch import LAUNCHERS, join_processes, leave_processes, mistakes_told_plainly
from hmradapter.fileio import atomic_write

TRAINING_HOOKS = ('FrozenParamsHook', 'AdapterCheckpointHook', 'PredictionVisualizationHook', 'ThroughputHook')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='full checkpoint (.pth); without it the weights that the config names')
    parser.add_argument('--adapter', metavar='FILE', help="adapter.safetensors to load; 'none': the base alone")
    parser.add_argument('--work-dir', help='folder of logs and metrics (default: work_dirs/<config name>)')
    parser.add_argument('--dump', metavar='FILE.npz', help='write predictions and truth of every sample')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='change config entries, e.g. test_dataloader.batch_size=16 data_root=/data/arctic')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='who started the processes')
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)  # older torch launchers pass it
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    try:
        options = args.cfg_options | chosen_weights(args.checkpoint, args.adapter)
        if args.dump:
            options['test_evaluator.dump_path'] = args.dump
        cfg = load_config(args.config, options)
        cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
        # The training's hooks watch weights and optimizer; an evaluation has neither to guard.
        cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook['type'] not in TRAINING_HOOKS]
        join_processes(cfg, args.launcher)
    except (ValueError, FileNotFoundError) as error:  # the user's mistakes, told without a traceback
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')
    with mistakes_told_plainly():
        runner = HMRRunner.from_cfg(cfg)
        metrics = runner.test()
    if is_main_process():
        path = Path(cfg.work_dir) / 'test_metrics.json'
        with atomic_write(path, 'w') as file:
            protocols = {metric.prefix: metric.scores.protocol.id for metric in runner.test_loop.evaluator.metrics
                         if getattr(metric, 'scores', None) is not None}
            card = dict(config=args.config, checkpoint=args.checkpoint, adapter=args.adapter, protocols=protocols,
                        metrics=metrics)
            json.dump(card, file, indent=1)
        runner.logger.info(f'Metrics are written to {path}.')
    leave_processes()


def chosen_weights(checkpoint: str | None, adapter: str | None) -> dict:
    """The config options that say which weights are evaluated."""
    for path in (checkpoint, adapter):
        if path and path != 'none' and not Path(path).exists():
            raise FileNotFoundError(f'{path} does not exist.')
    if checkpoint and adapter:
        raise ValueError('a full checkpoint holds its adapter already: give either the checkpoint or --adapter.')
    options = dict(load_from=checkpoint, resume=False)
    if adapter == 'none':
        options |= {'model.adapter': None, 'model.trainable': None}
    elif adapter:
        options['model.adapter_file'] = adapter
    return options


if __name__ == '__main__':
    main()

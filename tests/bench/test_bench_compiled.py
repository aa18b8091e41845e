"""``python -m bench --compile``: the meter, on texts whose cost is known by hand."""

from __future__ import annotations

import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench import readme, table
from bench.cases import CASES, Case
from bench.compiled import (
    command,
    gpu,
    hlo,
    layers,
    llo,
    networks,
    programs,
    results,
    show,
    sweep,
    timed,
    timeline,
    tpu,
)
from bench.compiled.programs import ALL_SIDES, Part
from bench.compiled.results import Results
from bench.compiled.sweep import Found
from tests.compare import assert_close
from tests.selection import exhaustive, rows

# Three rounds of three bundles; four more are issued behind a branch that is taken.
LOOP = """
     0   : { %s0_s0 = smov 0 }
   0x1 LB: { /* Start region 5 */ %s1_s0 = sphi 0, %s2_s0 ;; %s2_s0 = sadd.s32 %s1_s0, 1 }
   0x2   : { %p3_p0 = scmp.lt.s32.totalorder %s2_s0, 3 }
   0x3   : { %9 = sbr.rel (%p3_p0) target = $region5 }
   0x4   : { }
   0x5   : { }
   0x6   : { }
   0x7   : { }
   0x8   : { }
"""
PRODUCTS = """
     0   : { %v2 = vmatmul.bf16.gmra.mxu0 %v1 }
   0x1   : { %v3 = vmatmul.bf16.gmra.mxu0 %v1 ;; %v4 = vmatmul.bf16.gmra.mxu1 %v1 }
"""


def test_a_walk_counts_loops():
    walk = llo.Walk(llo.Code(LOOP))
    assert not walk.lost
    assert walk.cycles == 1 + 2 * (3 + 4) + (3 + 5)


def test_a_product_waits_for_its_unit():
    """16 rows of bfloat16 take 16 cycles: the second of a unit waits for 15."""
    walk = llo.Walk(llo.Code(PRODUCTS))
    assert walk.cycles == 2 + 15
    assert walk.fed_cycles == 3 * 16 / 4


def test_a_walk_says_where_it_is_lost():
    unknown = LOOP.replace("smov 0", "sld [smem:[#allocation2]]").replace("sphi 0", "sld 0")
    assert "not known" in llo.Walk(llo.Code(unknown)).lost


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("bf16[64,16,16,64]{3,0,2,1:T(8,128)(2,1)}", 64 * 16 * 16 * 128 * 2),
        ("f32[3,5]{1,0:T(8,128)}", 8 * 128 * 4),
        ("f32[3,5]{1,0:T(8,128)S(1)}", 0),
        ("(f32[8,128]{1,0:T(8,128)}, s8[4]{0})", 8 * 128 * 4 + 4),
    ],
)
def test_memory_is_padded_to_tiles(shape, size):
    assert hlo.memory_bytes(shape) == size


MODULE = """
%fused (param_0: f32[1024,1024]) -> f32[8,1024] {
  %param_0 = f32[1024,1024]{1,0:T(8,128)} parameter(0)
  ROOT %slice.1 = f32[8,1024]{1,0:T(8,128)} slice(%param_0), slice={[0:8], [0:1024]}
}

ENTRY %main (x: f32[1024,1024]) -> f32[8,1024] {
  %x = f32[1024,1024]{1,0:T(8,128)} parameter(0)
  %copy.1 = f32[1024,1024]{1,0:T(8,128)} copy(%x), backend_config={"estimated_cycles":"9"}
  ROOT %slice_fusion = f32[8,1024]{1,0:T(8,128)} fusion(%copy.1), kind=kLoop, calls=%fused
}
"""


def test_a_program_takes_the_longer_of_cycles_and_bytes():
    chip = tpu.CHIPS["v5e"]
    cost = timeline.cost(MODULE, {}, chip, 7)
    whole, part = 4 * 2**20, 2 * 4 * 2**13
    assert [o.bytes for o in cost.operations] == [2 * whole, part]
    np.testing.assert_allclose(cost.us, (2 * whole + part) / (0.81 * chip.bandwidth) * 1e6)
    assert (cost.cycles, cost.count, cost.lost, cost.temporary_bytes) == (9, 2, 1, 7)
    slow = MODULE.replace('"9"', '"3000000"')
    assert timeline.cost(slow, {}, chip, 0).us > 3e6 / chip.clock * 1e6


GPU_MODULE = """
%fused (p: bf16[4,8], q: bf16[8,16]) -> f32[4,16] {
  %p = bf16[4,8]{1,0} parameter(0)
  %q = bf16[8,16]{1,0} parameter(1)
  ROOT %dot.1 = f32[4,16]{1,0} dot(%p, %q), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%scaled (r: f32[4,16]) -> f32[4,16] {
  %r = f32[4,16]{1,0} parameter(0)
  %number = s32[4,16]{1,0} iota(), iota_dimension=0
  %index = s32[4,16]{1,0} multiply(%number, %number)
  ROOT %multiply.1 = f32[4,16]{1,0} multiply(%r, %r)
}

%body (s: (f32[4,16])) -> (f32[4,16]) {
  %s = (f32[4,16]{1,0}) parameter(0)
  %part = f32[4,16]{1,0} get-tuple-element(%s), index=0
  %loop_fusion = f32[4,16]{1,0} fusion(%part), kind=kLoop, calls=%scaled
  ROOT %made = (f32[4,16]{1,0}) tuple(%loop_fusion)
}

%condition (t: (f32[4,16])) -> pred[] {
  %t = (f32[4,16]{1,0}) parameter(0)
  ROOT %always = pred[] constant(true)
}

ENTRY %main (x: bf16[2,5,6,8], w: bf16[8,2,3,16], a: bf16[4,8], b: bf16[8,16]) -> f32[4,16] {
  %x = bf16[2,5,6,8]{3,2,1,0} parameter(0)
  %w = bf16[8,2,3,16]{3,2,1,0} parameter(1)
  %a = bf16[4,8]{1,0} parameter(2)
  %b = bf16[8,16]{1,0} parameter(3)
  %cudnn-conv-bw-input.1 = (bf16[2,10,18,16]{3,2,1,0}, u8[4096]{0}) custom-call(%x, %w), \
window={size=2x3 stride=2x3}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convBackwardInput"
  %gemm_fusion_dot = f32[4,16]{1,0} fusion(%a, %b), kind=kCustom, calls=%fused
  %init = (f32[4,16]{1,0}) tuple(%gemm_fusion_dot)
  %while.1 = (f32[4,16]{1,0}) while(%init), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"3"}}
  ROOT %out = f32[4,16]{1,0} get-tuple-element(%while.1), index=0
}
"""


def test_a_gpu_launches_kernels():
    """A call of cuDNN without its workspace, a product, and a loop that runs three times."""
    found = gpu.cost(GPU_MODULE, 7)
    x, w, y = 2 * 5 * 6 * 8, 8 * 2 * 3 * 16, 2 * 10 * 18 * 16
    call, product, loop = found.kernels
    assert found.calls_of("cudnn") == ["__cudnn$convBackwardInput"] and not product.library
    assert [k.bytes for k in found.kernels] == [2 * (x + w + y), 2 * (32 + 128) + 4 * 64, 8 * 64]
    assert [k.multiply_adds for k in found.kernels] == [x * 6 * 16, 4 * 8 * 16, 64]
    assert (loop.times, found.count, found.calls, found.temporary_bytes) == (3, 5, 1, 7)
    assert found.multiply_adds == x * 6 * 16 + 4 * 8 * 16 + 3 * 64
    assert call.us == pytest.approx(2 * (x + w + y) / (0.85 * 3.352e6) + 3)
    assert found.us == pytest.approx(call.us + product.us + 3 * loop.us)


X, W, Y = "bf16[2,5,6,8]", "bf16[8,2,3,{}]", "bf16[2,10,18,16]"
CONVOLUTIONS = {
    "Forward": (Y, W, X, "b01f_o01i->b01f"),
    "BackwardInput": (X, W, Y, "b01f_o01i->b01f"),
    "BackwardFilter": (Y, X, W, "b01f_o01i->b01f"),
}


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_convolution_of_a_layer_makes_the_same_products(name, groups):
    """All three sides of k = s, where none is with padding."""
    a, b, out, labels = (word.format(16 // groups) for word in CONVOLUTIONS[name])
    text = f"""
ENTRY %main (a: {a}, b: {b}) -> {out} {{
  %a = {a} parameter(0)
  %b = {b} parameter(1)
  ROOT %c = {out} custom-call(%a, %b), window={{size=2x3 stride=2x3}}, dim_labels={labels}, \
feature_group_count={groups}, custom_call_target="__cudnn$conv{name}"
}}
"""
    assert gpu.cost(text, 0).multiply_adds == 2 * 5 * 6 * 8 * 6 * 16 / groups


def test_the_floor_of_a_gpu_is_one_launch():
    """That moves x, w and y, or makes the products."""
    task = Part(CASES[0], "dgrad", "bfloat16", "cuda").task
    least = max(task.operand_bytes / (0.85 * 3.352e6), task.multiply_adds / (0.75 * 494e6))
    assert gpu.floor_us(task, "h100") == pytest.approx(least + 3)


VARIANTS = {
    "2-D": Case("", "", (4, 6), 3, 2, (2, 5, 4), (2, 5, 4), 1, 1, groups=2),
    "dilated": Case("", "", (3, 2), 3, 2, (1, 4, 5), (1, 4, 5), 1, dilation=2),
    "1-D": Case("", "", (2, 4), 4, 2, (2, 9), (2, 9), 1),
    "depthwise": Case("", "", (3, 3), 3, 1, (2, 5, 4), (2, 5, 4), 1, groups=3),
}


@pytest.mark.parametrize("side", ALL_SIDES)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_peer_computes_the_same(name, side, rng):
    """Or it would be no peer."""
    part = Part(VARIANTS[name], side, "float32", "tpu")
    a, b, _ = (jnp.asarray(rng.normal(size=shape), "float32") for shape in part.shapes)
    ours, theirs = (programs.operator(part, form)(a, b) for form in ("scatter", programs.PEER))
    assert ours.shape == part.shapes[2]
    assert_close(theirs, np.asarray(ours), "float32", slack=4)


@pytest.mark.parametrize("side", ALL_SIDES)
def test_a_dgrad_that_is_dilated_is_the_peers_program(side):
    """To the letter, so it is not compiled twice; on other sides kernels turn differently."""
    part = Part(VARIANTS["2-D"], side, "bfloat16", "tpu")
    texts = set()
    for form in ("dilated", programs.PEER):
        function, arguments, _ = programs.program(part, form, "lone")
        lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=("tpu",))
        texts.add(lowered.as_text())
    assert (len(texts) == 1) == programs.is_peers(part, "dilated")


@pytest.mark.parametrize("setting", programs.SETTINGS)
@pytest.mark.parametrize("side", ALL_SIDES)
def test_programs_have_the_arguments_that_they_say(side, setting):
    part = Part(VARIANTS["2-D"], side, "bfloat16", "tpu")
    function, arguments, (free, out) = programs.program(part, "auto", setting)
    assert len(arguments) == len(free)
    result = jax.eval_shape(function, *arguments)
    assert (result.shape, result.dtype) == (part.shapes[2], jnp.bfloat16)
    assert out == (side != "wgrad")


NETWORKS = {
    "up": (networks.dcgan, (1, 1, 1, 8)),
    "down and up": (networks.unet((3, 4), 2), (1, 8, 8, 1)),
    "volume": (networks.unet((2, 3), 2), (1, 4, 4, 4, 1)),
    "groups": (networks.resnext((1,)), (1, 8, 8, 2)),
    "depthwise": (networks.mobilenet([(1, 4, 1, 1), (2, 4, 2, 2)]), (1, 8, 8, 2)),
    "audio": (networks.hifigan([(4, 4, 2)]), (1, 5, 2)),
}


def drawn(rng, shape):
    """Mostly positive, so that ReLUs are awake: where the last one has a single feature, and that
    is negative everywhere, all gradients are nought.  Sums over a kernel keep the size of x."""
    return jnp.asarray(rng.uniform(-1, 3, size=shape) / math.prod(shape[:-1]))


@pytest.mark.parametrize("name", rows({n: (n,) for n in NETWORKS}, default=["down and up"]))
def test_a_training_step_is_the_same_by_both(name, rng):
    network, shape = NETWORKS[name]
    x, *parameters = (drawn(rng, s) for s in (shape, *networks.shapes(network, shape)))
    ours, theirs = (
        jax.jit(networks.training(network, by))(x, *parameters) for by in networks.BY.values()
    )
    moved = False
    for before, got, want in zip(parameters, ours, theirs, strict=True):
        got, want = (1e3 * np.asarray(after - before) for after in (got, want))
        moved = moved or np.abs(want).max() > 1e-3
        assert_close(got, want, "float32", slack=4)
    assert moved


def test_networks_are_those_of_their_papers():
    """Parameters of the convolutions, in millions, biases included."""
    counts = {
        name: sum(math.prod(s) for s in networks.shapes(*network)) / 1e6
        for name, network in networks.NETWORKS.items()
    }
    assert {name: round(count, 1) for name, count in counts.items()} == COUNTS
    with pytest.raises(ValueError, match=r"must be of DCGAN, .*, got 'VGG'"):
        list(networks.works("v5e", ["bfloat16"], ["VGG"]))


COUNTS = {
    "DCGAN": 3.6, "U-Net": 31.0, "ResNeXt-50": 23.0, "MobileNetV2": 2.2, "HiFi-GAN": 4.5,
    "nnU-Net": 16.5,
}  # fmt: skip


def never_answers(connection):
    """In place of a compiler: busy, whether or not one is installed here."""
    while connection:
        pass


@exhaustive
def test_a_program_that_takes_too_long_is_given_up(monkeypatch):
    """And a process that ends is no reason to wait."""
    work = sweep.Work("v5e", "lone", "float32", VARIANTS["1-D"], "dgrad", "lax")
    monkeypatch.setattr(sweep, "LIMIT_S", 1.0)
    with monkeypatch.context() as serving:
        serving.setattr(sweep, "_serve", never_answers)
        worker = sweep._Worker()
        assert worker.ask(work).fault == "more than 1 s to compile"
    assert worker.process.exitcode
    monkeypatch.setattr(sweep, "LIMIT_S", 60.0)
    worker = sweep._Worker()
    worker.process.kill()
    assert worker.ask(work).fault == "more than the compiler can: it ended the process"
    assert sweep._busy_seconds(os.getpid()) > 0 and sweep._busy_seconds(None) == 0


def test_drawn_layers_are_the_same_every_time():
    first, again, others = layers.drawn(), layers.drawn(), layers.drawn(seed=18)
    assert first == again
    assert len(first) == layers.DRAWN and {case.rank for case in first} == {1, 2, 3}
    assert [case.true for case in first] != [case.true for case in others]
    assert layers.select([], "drawn") == first


def a_row(case, side, form, us, **more):
    return Found("v5e", "lone", "bfloat16", case, side, form, us, 10.0, **more)


ROWS = [
    a_row("one", "dgrad", "lax", 80.0),
    a_row("one", "dgrad", "phases", 20.0, cycles=5.0, operations=3, lost=0),
    a_row("one", "dgrad", "dense", 10.0),
    a_row("two", "dgrad", "lax", 30.0),
    Found("v5e", "lone", "bfloat16", "two", "dgrad", "fold", fault="more than 60 s to compile"),
]
KEPT = Results({"compiler": "XLA:TPU", "libtpu": "0.0.52", "jax": "0.12.0.1"}, ROWS)
CHOSEN = {ROWS[0].program[:-1]: "phases", ROWS[3].program[:-1]: "dilated"}


def test_rows_are_kept(tmp_path):
    file = tmp_path / "rows.tsv"
    for row in ROWS:
        sweep.append(file, row)
    assert sweep.load(file) == ROWS
    sweep.append(file, again := a_row("one", "dgrad", "lax", 81.0))
    assert sweep.load(file)[0] == again


def test_means_are_of_what_auto_takes():
    """Four times ahead and level: twice; twice behind the best form and level."""
    (mean,) = show.means(ROWS, CHOSEN)
    assert (mean.ahead, mean.least, mean.least_case) == (2.0, 1.0, "two")
    np.testing.assert_allclose(mean.regret, math.sqrt(2))
    assert (mean.most_regret, mean.most_case, mean.count) == (2.0, "one", 2)


def test_tables_show_all(capsys):
    console = table.console()
    console.print(show.programs(ROWS, CHOSEN))
    console.print(show.mean_table(show.means(ROWS, CHOSEN)))
    shown = capsys.readouterr().out
    for word in ("phases *", "4.00", "50%", "more than 60 s", "1.41"):
        assert word in shown
    page = show.filled("a\n<!-- compiled -->\nold\n<!-- /compiled -->\nb", [KEPT], CHOSEN)
    assert "old" not in page and "| 80.0 | 20.0 | phases |" in page
    assert "Compiled by XLA:TPU, libtpu 0.0.52, jax 0.12.0.1." in page
    with pytest.raises(ValueError, match="no <!-- compiled -->"):
        show.filled("", [KEPT], CHOSEN)


def test_results_are_kept_with_their_compiler(tmp_path):
    """A file that a run wrote is read as it was, and rows of another supersede its own."""
    results.save(KEPT, tmp_path / "compiled-a.json")
    assert results.load(tmp_path / "compiled-a.json") == KEPT
    again = Results(KEPT.versions, [a_row("one", "dgrad", "lax", 81.0)])
    results.save(again, tmp_path / "compiled-b.json")
    kept = results.kept(tmp_path)
    assert kept == [KEPT, again] and len(results.compilers(kept)) == 1
    assert results.rows_of(kept) == [*again.rows, *ROWS[1:]]
    (tmp_path / "no.json").write_text('{"schema": 1}')
    with pytest.raises(ValueError, match="is no file of python -m bench --compile"):
        results.load(tmp_path / "no.json")


def test_what_is_missing_is_told(monkeypatch):
    console = table.console()
    with pytest.raises(ValueError, match="must be one of v5e, v6e, h100, got 'v7'"):
        command.run("v7", [], console)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"libtpu is not installed: pip install .*libtpu"):
        command.run("v5e", [], console)


def test_what_is_missing_for_a_gpu_is_told(monkeypatch):
    """By its wheel, and of the version that fits."""
    here = {name: gpu.metadata.version(name) for name in ("jax", "jaxlib")}

    def version(name):
        if name in here:
            return here[name]
        raise gpu.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gpu.metadata, "version", version)
    needs = rf"pip install jax-cuda12-plugin=={here['jaxlib']} jax-cuda12-pjrt==.* nvidia-cuda-nvcc"
    with pytest.raises(ValueError, match=f"jax-cuda12-plugin is not installed: {needs}"):
        command.run("h100", [], table.console())
    here |= {"jax-cuda12-plugin": "0.1"}
    assert f"jax-cuda12-plugin is 0.1 and jaxlib {here['jaxlib']}: pip" in str(gpu.missing())
    here |= dict.fromkeys(gpu.PLUGIN, here["jaxlib"])
    assert str(gpu.missing()).startswith("nvidia-cuda-nvcc-cu12 is not installed: pip install")


def test_what_auto_takes_on_a_gpu_was_compiled():
    """All named layers, every side; zeros are multiplied only where groups or planes are joined."""
    kept = results.load(results.FOLDER / "h100-compiled.json")
    assert {"compiler", "jax-cuda12-plugin", "jax"} <= kept.versions.keys()
    forms, chosen = show.by_side(kept.rows), command.choices(kept.rows)
    every = {(case.name, side) for case in CASES for side in ALL_SIDES}
    assert {key[3:] for key in forms if key[2] == "bfloat16"} == every
    for key, found in forms.items():
        part, name = part_of(key), chosen[key]
        row = found[programs.PEER if programs.is_peers(part, name) else name]
        assert not row.fault and row.gmac is not None
        if name not in ("dense", "fold"):
            assert 1e9 * row.gmac <= 1.5 * part.task.multiply_adds + 1e6, key


def part_of(key):
    (case,) = layers.select([key[3]], "full")
    return Part(case, key[4], key[2], "cuda")


def test_results_in_the_readme_are_those_of_the_files():
    """By today's rules: who changes one runs ``python -m bench --compile CHIP --readme``."""
    kept = results.kept()
    rows = results.rows_of(kept)
    missing = [
        key
        for key, form in command.choices(rows).items()
        if not {form, show.PEER if key[-1] == "dgrad" else form} & show.by_side(rows)[key].keys()
    ]
    assert not missing, "what auto takes today was not compiled"
    assert kept and all({"compiler", "libtpu", "jax"} <= each.versions.keys() for each in kept)
    page = readme.README.read_text(encoding="utf-8")
    assert show.filled(page, kept, command.choices(rows)) == page


def test_the_suite_for_a_tpu_times_what_was_counted(monkeypatch):
    """Here on whatever runs; the layers and forms it names are there."""
    names = {case.name for case in CASES}
    assert len(timed.LAYERS) == 20 and {name for name, *_ in timed.LAYERS} <= names
    assert {work.form for work in timed.works("v5e")} > {"lax", "dense", "fold", "gemm"}
    works = [
        sweep.Work("v5e", "lone", "float32", VARIANTS["1-D"], "dgrad", f) for f in ("lax", "gemm")
    ]
    row = Found("v5e", "lone", "float32", "", "dgrad", "lax", 3.0)
    found = timed.measure(works, {row.program: row}, lambda: True)
    assert [r.counted for r in found] == [3.0, None]
    assert all(r.measured and r.measured > 0 for r in found)
    assert timed.measure(works, {}, lambda: False)[0].measured is None
    assert timed.ranked([("a", 2.0), ("b", None), ("c", 1.0)]) == [("c", 1.0), ("a", 2.0)]
    assert timed.table(found).row_count == 1


def test_the_suite_for_a_tpu_says_what_is_here(monkeypatch):
    class Told:
        stdout = "cpu\n"

    monkeypatch.setattr(timed.subprocess, "run", lambda *a, **k: Told)
    with pytest.raises(ValueError, match="runs on v5e, v6e, and this is cpu; --compile v5e"):
        timed.chip()

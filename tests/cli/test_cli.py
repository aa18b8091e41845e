"""The command line: pictures of every mode, wrong input, and the demo as a user runs it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from jtconv import Tuning, __version__, devices
from jtconv.algorithms import ALGORITHMS
from jtconv.cli import app, problem, upsample
from jtconv.cli.demo import LUMA, coloured, lanczos
from tests.selection import rows

SIZE = (13, 9)  # width, height
MODES = {
    "1": ".png",
    "L": ".png",
    "LA": ".png",
    "RGB": ".png",
    "RGBA": ".png",
    "CMYK": ".tif",
    "I;16": ".png",
    "I": ".tif",
    "F": ".tif",
}


def jtconv(*words):
    """Run the command line as `jtconv WORDS` would."""
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words, because, code=1):
    """It must end with this exit code and one line, not with a traceback."""
    result = jtconv(*words)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert because in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


def misused(*words, because):
    """Wrong usage, whatever the machine and its files."""
    refused(*words, because=because, code=2)


def picture(mode, size=SIZE):
    """A ramp to the right and down, different in every band."""
    down, right = np.mgrid[: size[1], : size[0]]
    ramp = (11 * right + 7 * down) / 200
    if mode in ("I;16", "I", "F"):
        top, kind = {"I;16": (65535, "<u2"), "I": (70000, "i4"), "F": (3.5, "f4")}[mode]
        return Image.frombytes(mode, size, (top * ramp).astype(kind).tobytes())
    bands = [255 * ramp, 255 * (1 - ramp), 90 + 50 * ramp, 255 - 100 * ramp]
    if mode == "1":
        return Image.fromarray(bands[0].astype(np.uint8)).convert("1", dither=Image.Dither.NONE)
    if mode == "LA":
        bands = [bands[0], bands[3]]
    count = {"L": 1, "RGB": 3}.get(mode, len(bands))
    pixels = np.stack(bands[:count], -1).astype(np.uint8)
    return Image.frombytes(mode, size, pixels.tobytes())


def saved(image, path, **extras):
    image.save(path, **extras)
    return path


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


def enlarged(source, target, *words):
    result = jtconv("upsample", source, "-o", target, *words)
    assert result.exit_code == 0, result.output
    return opened(target)


@pytest.mark.parametrize("mode", MODES)
def test_mode_and_depth_are_kept_and_values_are_interpolated(mode, tmp_path):
    small = picture(mode)
    large = enlarged(saved(small, tmp_path / f"a{MODES[mode]}"), tmp_path / f"b{MODES[mode]}")
    assert large.mode == mode
    assert large.size == (26, 18)
    if mode == "1":
        return
    # Pillow's own bilinear filter is the same tent.  It blends 16-bit pictures too coarsely.
    peer = Image.fromarray(np.asarray(small).astype("f4")) if mode in ("I;16", "I") else small
    expected = np.asarray(peer.resize(large.size, Image.Resampling.BILINEAR), float)
    colours = slice(None, -1) if mode in ("LA", "RGBA") else slice(None)
    error = np.abs(np.asarray(large, float) - expected)
    assert error.max() <= (2 if mode in ("LA", "RGBA") else 1)
    assert error[..., colours].mean() < 0.6


def test_black_and_white_stays_so(tmp_path):
    source = saved(picture("1"), tmp_path / "a.png")
    large = np.asarray(enlarged(source, tmp_path / "b.png"))
    small = np.asarray(picture("1"))
    assert 0 < small.mean() < 1
    assert abs(large.mean() - small.mean()) < 0.1


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("more", [0, 1, 4])
def test_a_flat_picture_stays_flat_up_to_its_edges(stride, more, tmp_path):
    source = saved(Image.new("RGB", SIZE, (250, 130, 7)), tmp_path / "a.png")
    kernel = 2 * stride - stride % 2 + more
    large = enlarged(source, tmp_path / "b.png", "--stride", stride, "--kernel", kernel)
    assert large.size == (SIZE[0] * stride, SIZE[1] * stride)
    assert np.unique(np.asarray(large).reshape(-1, 3), axis=0).tolist() == [[250, 130, 7]]


def test_transparent_pixels_lend_no_colour(tmp_path):
    pixels = np.zeros((6, 8, 4), np.uint8)
    pixels[:, :4] = (255, 0, 0, 0)
    pixels[:, 4:] = (0, 0, 200, 255)
    large = np.asarray(
        enlarged(saved(Image.fromarray(pixels), tmp_path / "a.png"), tmp_path / "b.png")
    )
    assert (large[large[..., 3] > 0][:, :3] == (0, 0, 200)).all()
    assert set(np.unique(large[..., 3])) == {0, 64, 191, 255}


def test_palettes_become_full_colour_with_their_transparency(tmp_path):
    paletted = picture("RGB").quantize(8)
    solid = enlarged(saved(paletted, tmp_path / "a.png"), tmp_path / "b.png")
    assert solid.mode == "RGB"
    holed = saved(paletted, tmp_path / "c.png", transparency=paletted.getpixel((0, 0)))
    clear = enlarged(holed, tmp_path / "d.png")
    assert clear.mode == "RGBA"
    assert clear.getpixel((0, 0))[3] == 0
    assert clear.getpixel((25, 17))[3] == 255


def test_a_grey_with_a_transparent_colour_keeps_it(tmp_path):
    source = saved(Image.new("L", SIZE, 9), tmp_path / "a.png", transparency=9)
    assert enlarged(source, tmp_path / "b.png").getextrema() == ((0, 0), (0, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "a description"
    source = saved(picture("RGB"), tmp_path / "a.png", exif=exif)
    large = enlarged(source, tmp_path / "b.png", "--stride", 1)
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    upright = picture("RGB")
    if orientation in turned:
        upright = upright.transpose(turned[orientation])
    np.testing.assert_array_equal(np.asarray(large), np.asarray(upright))
    assert large.getexif().get(0x0112, 1) == 1
    assert large.getexif()[0x010E] == "a description"


@pytest.mark.parametrize(
    ("mode", "suffix", "kept"),
    [
        ("1", ".bmp", "1"),
        ("1", ".jpg", "L"),
        ("L", ".webp", "RGB"),
        ("LA", ".jpg", "L"),
        ("LA", ".webp", "RGBA"),
        ("RGBA", ".jpg", "RGB"),
        ("RGBA", ".bmp", "RGB"),
        ("RGBA", ".jp2", "RGBA"),
        ("CMYK", ".jpg", "CMYK"),
        ("CMYK", ".png", "RGB"),
        ("I;16", ".jpg", "L"),
        ("I;16", ".webp", "RGB"),
    ],
)
def test_another_format_gets_the_nearest_mode_it_holds(mode, suffix, kept, tmp_path):
    source = saved(picture(mode), tmp_path / f"a{MODES[mode]}")
    result = jtconv("upsample", source, "-o", tmp_path / f"b{suffix}")
    assert (f"cannot hold mode {mode}" in result.output) == (mode != kept)
    large = opened(tmp_path / f"b{suffix}")
    assert large.mode == kept
    assert f"mode {kept}:" in result.output.splitlines()[-1]
    assert np.ptp(np.asarray(large.convert("RGB"), float)[..., 0]) > 20


def test_16_bits_travel_through_other_deep_formats(tmp_path):
    source = saved(picture("I;16"), tmp_path / "a.png")
    grey = enlarged(source, tmp_path / "b.pgm")
    back = enlarged(tmp_path / "b.pgm", tmp_path / "c.png", "--stride", 1)
    assert back.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(back), np.asarray(grey))
    assert np.asarray(back).max() > 50000


def test_a_gif_tells_what_it_loses(tmp_path):
    source = saved(picture("RGB"), tmp_path / "a.png")
    assert "256 colours" in jtconv("upsample", source, "-o", tmp_path / "b.gif").output


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif", ".tga"])
def test_opacity_survives_in_every_format_that_has_it(suffix, tmp_path):
    source = saved(Image.new("RGBA", SIZE, (200, 0, 0, 0)), tmp_path / "a.png")
    large = enlarged(source, tmp_path / f"b{suffix}").convert("RGBA")
    assert large.getextrema()[3] == (0, 0)


def test_transparency_is_laid_on_white_where_it_cannot_be_kept(tmp_path):
    source = saved(Image.new("RGBA", SIZE, (0, 0, 0, 0)), tmp_path / "a.png")
    assert enlarged(source, tmp_path / "b.jpg").getextrema() == ((255, 255),) * 3


def test_deep_numbers_are_not_written_where_they_would_wrap(tmp_path):
    source = saved(picture("F"), tmp_path / "a.tif")
    refused("upsample", source, "-o", tmp_path / "b.png", because="try .tif")
    assert not (tmp_path / "b.png").exists()


def test_of_an_animation_the_first_frame_is_taken_and_that_is_told(tmp_path):
    first, second = Image.new("RGB", SIZE, "red"), Image.new("RGB", SIZE, "blue")
    source = saved(first, tmp_path / "a.gif", save_all=True, append_images=[second])
    result = jtconv("upsample", source, "-o", tmp_path / "b.png")
    assert "only the first of 2 frames" in result.output
    assert opened(tmp_path / "b.png").convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_a_clear_colour_that_a_palette_does_not_use_is_no_transparency(tmp_path):
    """The first frame of an animation may have one, and still be a JPEG without a word of it."""
    for number, note in ((1, "mode P is taken as RGB."), (0, "mode P is taken as RGBA.")):
        image = Image.new("P", SIZE, number)
        image.putpalette([0, 0, 0, 200, 30, 60])
        source = saved(image, tmp_path / f"{number}.png", transparency=0)
        assert opened(source).has_transparency_data
        assert note in jtconv("upsample", source, "-o", tmp_path / f"{number}.jpg").output


def test_the_result_lies_next_to_the_picture_and_is_never_overwritten_unasked(tmp_path):
    source = saved(picture("RGB"), tmp_path / "photo.JPG")
    target = tmp_path / "photo-3x.JPG"
    result = jtconv("upsample", source, "--stride", 3)
    assert str(target) in result.output
    before = target.read_bytes()
    refused("upsample", source, "--stride", 3, because="--force")
    assert target.read_bytes() == before
    assert jtconv("upsample", source, "--stride", 3, "--kernel", 9, "--force").exit_code == 0
    assert target.read_bytes() != before


def test_a_random_kernel_follows_its_seed(tmp_path):
    source = saved(picture("RGBA"), tmp_path / "a.png")
    results = [
        np.asarray(enlarged(source, tmp_path / f"{n}.png", "--init", "random", "--seed", seed))
        for n, seed in enumerate([1, 1, 2])
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()
    smooth = np.asarray(enlarged(source, tmp_path / "smooth.png"))
    np.testing.assert_array_equal(results[0][..., 3], smooth[..., 3])


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize(("size", "stride"), [(4, 2), (5, 3), (7, 2), (3, 3), (1, 1)])
def test_row_tiles_leave_no_seam(size, stride, seed, monkeypatch):
    planes = np.random.default_rng(0).integers(0, 256, (23, 6, 4), np.uint8)
    options = {"has_alpha": True, "size": size, "stride": stride, "seed": seed}
    whole = upsample.upsampled(planes, **options)
    monkeypatch.setattr(upsample, "TILE_BYTES", 5 * 4 * 6 * 6 * size**2)
    shares: list[float] = []
    tiles = upsample.upsampled(planes, **options, advance=shares.append)
    assert len(shares) == 5
    assert shares[-1] == 1
    assert np.abs(tiles.astype(int) - whole).max() <= 1


def broken(kind, folder):
    """A path that is no whole picture."""
    path = folder / "broken.png"
    if kind == "folder":
        path.mkdir()
    if kind == "text":
        path.write_text("not a picture")
    if kind == "empty":
        path.write_bytes(b"")
    if kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        whole = saved(Image.fromarray(noise), folder / "whole.png").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    return path


@pytest.mark.parametrize(
    ("kind", "because"),
    [
        ("missing", "there is no file"),
        ("folder", "is a folder"),
        ("text", "is not a picture"),
        ("empty", "is not a picture"),
        ("truncated", "cannot be read as a picture"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_reason(kind, because, tmp_path):
    refused("upsample", broken(kind, tmp_path), "-o", tmp_path / "b.png", because=because)
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "because"),
    [
        (["-o", "{tmp}/b.xyz"], 2, "no ending of a picture format"),
        (["-o", "{tmp}/b"], 2, "no ending of a picture format"),
        (["-o", "{tmp}"], 1, "is a folder"),
        (["-o", "{tmp}/none/b.png"], 1, "there is no folder"),
        (["--stride", "4", "--kernel", "3"], 2, "leaves gaps"),
        (["--limit", "0.0001"], 1, "would pass the limit"),
    ],
)
def test_what_cannot_be_done_is_refused_before_work_starts(words, code, because, tmp_path):
    source = saved(picture("RGB"), tmp_path / "a.png")
    words = [word.format(tmp=tmp_path) for word in words]
    refused("upsample", source, *words, because=because, code=code)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "words",
    [
        ["--stride", "0"],
        ["--stride", "two"],
        ["--kernel", "-3"],
        ["--init", "magic"],
        ["--seed", "-1"],
        ["--unknown"],
    ],
)
def test_wrong_options_end_with_code_2(words, tmp_path):
    source = saved(picture("RGB"), tmp_path / "a.png")
    result = jtconv("upsample", source, *words)
    assert result.exit_code == 2
    assert words[0] in re.sub(r"\x1b\[[0-9;]*m", "", result.output)
    if words[0] == "--init":
        assert "Value error" not in result.output
        assert "bilinear, random" in result.output


@pytest.mark.parametrize(
    "command",
    [
        [],
        *(
            [name]
            for name in ["demo", "upsample", "explain", "tune", "draw", "explore", "info", "docs"]
        ),
    ],
)
def test_help_has_its_examples(command):
    result = jtconv(*command, "--help")
    assert result.exit_code == 0
    assert ("Examples" if command else "upsample") in result.output


def test_the_version_is_told():
    assert jtconv("--version").output == f"jtconv {__version__}\n"


def test_info_tells_versions_devices_and_what_methods_are_chosen_for():
    facts = json.loads(plain(jtconv("info", "--json")))
    assert facts["versions"]["jtconv"] == __version__
    for package in ("jax", "jaxlib", "numpy", "flax"):
        assert facts["versions"][package] == version(package)
    assert ("torch" in facts["versions"]) == (find_spec("torch") is not None)
    assert facts["backend"] == jax.default_backend()
    assert facts["platform"] == devices.platform()
    assert len(facts["devices"]) == jax.device_count()
    lines = dict(line.split(maxsplit=1) for line in plain(jtconv("info")).splitlines())
    assert lines == {
        **facts["versions"],
        **{name: facts[name] for name in ("machine", "cpu", "backend", "platform")},
        "devices": ", ".join(facts["devices"]),
    }


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "--kernel", 3),
        ("explain", "--kernel", 3, "--platform", "cuda", "--time"),
        ("tune", "--kernel", 3),
        ("demo", "--out", "nowhere"),
        ("upsample", "photo.png"),
    ],
    ids=lambda words: words[0],
)
def test_what_computes_says_that_there_is_no_device(words, monkeypatch):
    """As with JAX_PLATFORMS=cuda and no GPU, of which JAX only says AssertionError."""
    monkeypatch.setattr(jax, "devices", no_devices)
    refused(*words, because="JAX found no device to compute on")


def test_what_computes_nothing_needs_no_device(monkeypatch):
    monkeypatch.setattr(jax, "devices", no_devices)
    output = plain(jtconv("explain", "--kernel", 3, "--platform", "cuda"))
    assert "platform cuda" in output
    told = json.loads(plain(jtconv("info", "--json")))
    assert told["devices"] == [] and "unset JAX_PLATFORMS" in told["trouble"]


def no_devices(backend=None):
    raise AssertionError


def test_explain_for_another_platform():
    words = "explain", "--kernel", 4, "--stride", 2, "--channels", "64:32", "--input", "8x8"
    told = json.loads(plain(jtconv(*words, "--platform", "cuda", "--json")))
    assert told["platform"] == "cuda"
    assert told["sides"]["forward"]["methods"]["pallas"]["refusal"] is None
    misused(*words, "--platform", "metal", because="must be one of cpu, cuda, rocm, tpu")


def without(module, program, *words):
    """A program run where ``module`` cannot be imported."""
    start = (
        "import runpy, sys; hidden, program, *sys.argv[1:] = sys.argv[1:]; "
        "sys.modules[hidden] = None; "
        "runpy.run_module(program, run_name='__main__', alter_sys=True)"
    )
    return subprocess.run(
        [sys.executable, "-c", start, module, program, *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


# What is not there, what is started, the package to install and the extra that has it.
MISSING = {
    f"{module}, {program}": (module, program, package, extra)
    for module, program, package, extra in (
        ("typer", "jtconv demo", "typer", "demo"),
        ("rich", "jtconv demo", "rich", "demo"),
        ("PIL", "jtconv explain", "pillow", "demo"),
        ("sklearn", "jtconv demo", "scikit-learn", "demo"),
        ("pdoc", "jtconv docs", "pdoc", "docs"),
        ("sklearn", "jtconv.models.train", "scikit-learn", "train"),
        ("orbax", "jtconv.models.train", "orbax-checkpoint", "train"),
    )
}


@pytest.mark.parametrize(
    ("module", "program", "package", "extra"),
    rows(MISSING, default=["typer, jtconv demo", "orbax, jtconv.models.train"]),
)
def test_a_missing_package_is_one_line_that_names_the_extra(module, program, package, extra):
    run = without(module, *program.split())
    assert run.returncode == 1
    assert run.stdout == ""
    needs = f"this needs {package}: python -m pip install 'jtconv[{extra}]'\n"
    assert run.stderr.removeprefix("Error: ") == needs


def test_every_extra_is_declared_and_the_script_is_the_guarded_one():
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"jtconv": "jtconv.__main__:main"}
    sources = (path.read_text(encoding="utf-8") for path in (root / "jtconv").rglob("*.py"))
    named = {extra for text in sources for extra in re.findall(r'needs\("(\w+)"\)', text)}
    assert {"demo", "train", "docs"} <= named <= project["optional-dependencies"].keys()


def test_smooth_kernels_give_every_phase_the_same_weight():
    for kernel in (upsample.bilinear(4), lanczos(12, 2)):
        sums = [kernel[a::2, b::2].sum() for a in range(2) for b in range(2)]
        np.testing.assert_allclose(sums, sums[0], rtol=1e-12)
    greys = coloured(lanczos(12, 2), 1.25)[::2, ::2].sum(axis=(0, 1, 2))
    np.testing.assert_allclose(greys, np.ones(3), rtol=1e-12)
    np.testing.assert_allclose(LUMA.sum(), 1)


def run_demo(folder):
    root = Path(__file__).parents[2]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "jtconv", "demo", "--out", "pictures"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.exhaustive
def test_the_demo_as_a_newcomer_runs_it(tmp_path):
    first = run_demo(tmp_path)
    assert first.returncode == 0, first.stderr
    before, after = (opened(tmp_path / "pictures" / f"{n}.png") for n in ("before", "after"))
    assert before.size == (640, 427)
    assert after.size == ((640 - 1) * 2 + 12, (427 - 1) * 2 + 12)
    for word in ("jax.lax", *(name for name in ALGORITHMS if name != "pallas")):
        assert word in first.stdout
    assert str(Path("pictures") / "after.png") in first.stdout
    assert "agrees with the reference" in first.stdout
    differences = [float(d) for d in re.findall(r"\d\.\de-\d\d", first.stdout)]
    assert len(differences) >= 8
    assert max(differences) < 1e-5
    again = run_demo(tmp_path)
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.exhaustive
def test_the_demo_may_run_again_where_it_ran_and_tells_what_auto_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    small = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    monkeypatch.setattr("jtconv.cli.demo.load_sample_image", lambda name: small)
    monkeypatch.setattr("jtconv.cli.demo.ENOUGH_SECONDS", 0)
    for _ in range(2):
        output = plain(jtconv("demo"))
    (method,) = re.findall(r"auto takes (\w+): .", output)
    assert f"{method} (auto)" in output
    assert (tmp_path / "jtconv-demo" / "after.png").exists()


def plain(result):
    """What was printed, without colours."""
    assert result.exit_code == 0, result.output
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


def test_explain_from_options():
    output = plain(jtconv("explain", "--input", "2x2", "--kernel", 4, "--stride", 3))
    for words in ("(1, 2, 2, 1) -> (1, 7, 7, 1)", "y[3*i + t] += x[i] * w[t]", "7 to 9"):
        assert words in output


def test_explain_a_layer_of_torch_and_of_keras_and_of_flax():
    layers = {
        "--torch": "ConvTranspose2d(16, 33, 3, stride=2)",
        "--keras": "Conv2DTranspose(33, 3, strides=2)",
        "--flax": "nnx.ConvTranspose(16, 33, (3, 3), strides=(2, 2), padding='VALID', rngs=rngs)",
    }
    for option, layer in layers.items():
        output = plain(jtconv("explain", option, layer, "--channels", "16", "--input", "50x100"))
        assert "(1, 50, 100, 16) -> (1, 101, 201, 33)" in output, option
        names = "stride + " if option == "--torch" else "strides + "
        assert names in output.replace("stride - 2*padding +", "stride +")
        assert "parameters 4,785" in output


def test_explain_piece_by_piece():
    words = ("--input", 36, "--kernel", 16, "--stride", 8, "--padding", 4, "--streaming")
    output = plain(jtconv("explain", *words))
    told = "piece by piece along W: n -> 8*n cells, latency 4; carries 1 input (4 bytes)"
    assert told in " ".join(output.split())


def test_explain_answers_which_padding_gives_a_size():
    output = plain(jtconv("explain", "--input", 36, "--kernel", 4, "--stride", 2, "--for", 71))
    assert output.splitlines()[-1] == "W = 71 by padding=2, output_padding=1"


def test_explain_for_programs():
    words = ("--kernel", 2, "--conv", "--input", "5x5", "--channels", "4:2", "--groups", 2)
    more = ("--stride", 2, "--padding", 2, "--for", 4)
    told = json.loads(plain(jtconv("explain", *words, *more, "--json")))
    assert told["output_shape"] == [1, 4, 4, 2]
    assert told["multiply_adds"] == 100
    assert {"padding": 2} in told["for"]["paddings"]["H"]


def test_explain_in_a_terminal_shows_the_same(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=160)
    monkeypatch.setattr("jtconv.cli.explain.Console", lambda: console)
    plain(jtconv("explain", "--input", "2x2", "--kernel", 4, "--stride", 3, "--methods"))
    output = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())
    for words in (
        "out = (in - 1)*stride",
        "(2 - 1)*3",
        "torch.nn.ConvTranspose2d(1, 1, 4",
        "scatter",
        "┃",
    ):
        assert words in output


@pytest.mark.parametrize(
    ("words", "because"),
    [
        ([], "give the --kernel"),
        (["--kernel", "three"], "--kernel is written as"),
        (["--kernel", "3x3", "--stride", "1x2x3"], "--kernel has 2 axes, and the layer has 3"),
        (["--kernel", "3", "--padding", "1:2:3"], "lo:hi"),
        (["--kernel", "3", "--padding", "9"], "leaves no output"),
        (["--kernel", "3", "--channels", "0:1"], "--channels"),
        (["--kernel", "3", "--channels", "3:2", "--groups", "2"], "groups must divide"),
        (["--kernel", "3", "--dtype", "real"], "--dtype"),
        (["--kernel", "3", "--conv", "--output-padding", "1"], "--output-padding belongs"),
        (["--kernel", "3", "--output-size", "99"], "output_size[0] must be one of 10"),
        (["--torch", "ConvTranspose2d(1, 2, 3)", "--stride", "2"], "is the whole layer"),
        (["--torch", "Conv2d(1, 2, 3)", "--keras", "Conv2D(1, 2)"], "one layer at a time"),
        (["--torch", "exec('1')"], "not known here"),
    ],
)
def test_explain_tells_what_it_cannot_read(words, because):
    misused("explain", *words, because=because)


@pytest.mark.parametrize("command", ["explain", "tune", "draw", "explore"])
@pytest.mark.parametrize(
    ("words", "because"),
    [
        (["--kernel", "three"], "--kernel is written as"),
        (["--kernel", "3", "--padding", "some"], "--padding is written as"),
        (["--kernel", "3", "--input", str(10**23)], "--input has numbers up to 2147483647"),
        (["--kernel", "3", "--padding", "9"], "leaves no output"),
        (["--kernel", "3x3x3x3x3"], "axes"),
    ],
)
def test_wrong_usage_is_2_in_every_command(command, words, because, tmp_path):
    files = {
        "draw": ["-o", tmp_path / "a.svg"],
        "explore": ["--no-open", "-o", tmp_path / "a.html"],
    }
    misused(command, *words, *files.get(command, []), because=because)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["explain", "tune", "draw", "explore", "demo", "info", "docs"])
def test_an_unknown_option_is_wrong_usage_too(command):
    assert jtconv(command, "--nope").exit_code == 2
    assert jtconv(command, "a word too many").exit_code == 2


def test_a_computation_that_fails_is_1():
    cells = "1000000000x1000000000"
    refused("tune", "--kernel", "3", "--input", cells, because="Out of memory")


def test_explain_the_issues_lines():
    lines = {
        ("--torch", "ConvTranspose2d(16, 33, 9, stride=2, padding=9//2)"): "(1, 15, 15, 33)",
        (
            "--flax",
            "ConvTranspose(features=33, kernel_size=(3, 3), strides=(2, 2))",
            "--channels",
            "16",
        ): "(1, 16, 16, 33)",
    }
    for words, shape in lines.items():
        assert f"(1, 8, 8, 16) -> {shape}" in plain(jtconv("explain", *words))


def test_tune_keeps_its_times_and_adds_to_them(tmp_path):
    path = tmp_path / "tuning.json"
    output = plain(jtconv("tune", "--kernel", 2, "--input", 3, "--out", path))
    assert "scatter" in output
    assert "1 problems kept" in output
    refused("tune", "--kernel", 2, "--input", 3, "--out", path, because="--force")
    refused("tune", "--kernel", 2, "--add", tmp_path / "none.json", because="cannot read")
    (tmp_path / "text.json").write_text("no times")
    refused("tune", "--kernel", 2, "--add", tmp_path / "text.json", because="holds no times")
    misused("tune", "--kernel", 2, "--add", path, "--out", path, because="not both")
    again = plain(jtconv("tune", "--kernel", 2, "--input", 4, "--add", path))
    assert "2 problems kept" in again
    assert len(Tuning.load(path).rows) == 2


@pytest.mark.parametrize("suffix", ["gif", "svg", "png"])
def test_draw_writes_what_the_ending_names(suffix, tmp_path):
    path = tmp_path / f"steps.{suffix}"
    words = ("draw", "--input", "2x2", "--kernel", 3, "--stride", 2, "-o", path)
    assert "4 steps" in plain(jtconv(*words))
    head = path.read_bytes()[:4]
    assert head in {"gif": (b"GIF8",), "svg": (b"<svg",), "png": (b"\x89PNG",)}[suffix]
    refused(*words, because="--force")


def test_draw_and_explore_write_the_page(tmp_path):
    for words in (("draw", "--html"), ("explore", "--no-open", "--out")):
        path = tmp_path / f"{words[0]}.html"
        layer = ("--input", "2x2", "--kernel", 4, "--stride", 3)
        assert str(path) in plain(jtconv(*words, path, *layer))
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>")
        assert '"stride": 3' in text


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (["--kernel", "3"], "give --out"),
        (["--kernel", "3", "-o", "{tmp}/a.bmp"], "must end in one of"),
        (["--kernel", "3", "-o", "{tmp}/a.gif", "--frame", "1"], "does not move"),
        (["--kernel", "3", "-o", "{tmp}/a.svg", "--theme", "blue"], "theme must be one of"),
        (["--kernel", "3", "-o", "{tmp}/a.svg", "--frame", "9"], "frame must be one of 0 to 7"),
        (["--kernel", "3", "-o", "{tmp}/a.svg", "--view", "film"], "view must be one of"),
        (["--torch", "Conv2d(1, 1, 3)", "-o", "{tmp}/a.svg"], "this layer is a plain one"),
        (["--kernel", "3x3x3", "-o", "{tmp}/a.svg"], "x must have one or two axes"),
        (["--kernel", "3", "--groups", "2", "-o", "{tmp}/a.svg"], "one channel is drawn"),
        (["--kernel", "3", "--view", "zeros", "--html", "{tmp}/a.html"], "--view is for pictures"),
        (["--kernel", "3", "--frame", "1", "--html", "{tmp}/a.html"], "--frame is for pictures"),
        (["--kernel", "3", "-o", "{tmp}/a.png", "--seconds", "1"], "--seconds is for what moves"),
        (
            [
                "--kernel",
                "3",
                "--input",
                "4x4",
                "--stride",
                "2",
                "--view",
                "matrix",
                "-o",
                "{tmp}/a.png",
            ],
            "take SVG, one frame as PNG, or cell=",
        ),
    ],
)
def test_draw_tells_what_it_cannot(words, because, tmp_path):
    misused("draw", *(word.format(tmp=tmp_path) for word in words), because=because)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (["--kernel", "3x2"], "axes that are alike"),
        (["--kernel", "3", "--input", "3x4"], "axes that are alike"),
        (["--kernel", "3x3x3"], "the explorer has one or two axes"),
        (["--kernel", "3", "--stride", "2", "--padding", "same"], "crops (0, 1) cells"),
        (["--kernel", "3", "--padding", "0:1x0:1", "--input", "3x3"], "crops (0, 1) cells"),
        (["--kernel", "3", "--padding", "circular"], "no padding 'CIRCULAR'"),
        (["--kernel", "3", "--input", "300x300"], "up to 60 cells a side"),
        (["--kernel", "3", "--groups", "2", "--channels", "2"], "layers of one group"),
        (["--torch", "Conv2d(1, 1, 3)"], "this layer is a plain one"),
        (["--torch", "ConvTranspose2d(3, 8, 3)", "--channels", "4:8"], "those of the layer, 3:8"),
        (["--torch", "ConvTranspose2d(3, 8, 3)", "--stride", "2"], "leave out --stride"),
        (["--stride", "2"], "give the --kernel"),
    ],
)
@pytest.mark.parametrize("command", ["explore", "draw"])
def test_the_explorer_tells_what_it_cannot(command, words, because, tmp_path):
    page = ["--no-open", "--out"] if command == "explore" else ["--html"]
    misused(command, *words, *page, tmp_path / "a.html", because=because)
    assert list(tmp_path.iterdir()) == []


def start_of(path):
    """Where the sliders of a page that was written stand."""
    found = re.search(r"const START = (.*);", path.read_text(encoding="utf-8"))
    assert found is not None
    return json.loads(found[1])


def test_the_explorer_starts_where_it_was_told_to(tmp_path):
    path = tmp_path / "page.html"
    nothing = {"padding": 0, "output_padding": 0, "dilation": 1, "flip_kernel": False}
    square = {"rank": 2, "input": 8, "kernel": 3, "stride": 1, **nothing}
    told = {
        (): {**square, "input": 3, "stride": 2, "channels": [16, 32], "bias": True},
        ("--torch", "ConvTranspose2d(3, 8, 3)"): {**square, "channels": [3, 8], "bias": True},
        ("ConvTranspose(3, 8, (4, 4), 2)", "--input", 3): {
            **square, "input": 3, "kernel": 4, "stride": 2, "padding": 1, "channels": [3, 8],
            "bias": True, "flip_kernel": True,
        },
        ("--kernel", 12, "--stride", 9, "--input", "3x3"): {
            **square, "input": 3, "kernel": 12, "stride": 9, "channels": [1, 1], "bias": False,
        },
        ("--kernel", 3, "--stride", 2, "--padding", 1, "--input", 3, "--output-size", 6): {
            **square, "rank": 1, "input": 3, "stride": 2, "padding": 1, "output_padding": 1,
            "channels": [1, 1], "bias": False,
        },
    }  # fmt: skip
    for words, start in told.items():
        plain(jtconv("explore", *words, "--no-open", "--force", "--out", path))
        rank = 1 if "--output-size" in words else 2
        assert start_of(path) == {**start, "rank": rank}, words


# An option of the layer, what it is set to, and the commands that have no use for it.
OPTIONS = {
    "input": ("5", ()),
    "kernel": ("2", ()),
    "stride": ("3", ()),
    "padding": ("1", ()),
    "output_padding": ("1", ()),
    "output_size": ("10", ()),
    "dilation": ("3", ()),
    "groups": ("2", ("draw", "page", "explore")),
    "channels": ("2:4", ("draw",)),
    "bias": (None, ("draw",)),
    "conv": (None, ("draw", "page", "explore")),
    "batch": ("3", ("draw", "page", "explore")),
    "dtype": ("bf16", ("draw", "page", "explore")),
}
WRITES = {
    "explain": ("explain", ("--json",)),
    "draw": ("draw", ("--out", "{tmp}/a.svg")),
    "page": ("draw", ("--html", "{tmp}/a.html")),
    "explore": ("explore", ("--no-open", "--out", "{tmp}/a.html")),
}


@pytest.mark.parametrize("writes", WRITES)
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_what_a_command_does_or_is_refused(option, writes, tmp_path):
    """Nothing that is said is dropped in silence."""
    command, more = WRITES[writes]
    value, useless = OPTIONS[option]
    start = {"--kernel": "3", "--input": "4x4", "--stride": "2"}
    given = {**start, f"--{option.replace('_', '-')}": value}
    if option == "groups":
        given["--channels"] = "2:4"
        start["--channels"] = "2:4"

    def run(name, options):
        folder = tmp_path / name
        folder.mkdir()
        words = [word for pair in options.items() for word in pair if word is not None]
        result = jtconv(command, *words, *(word.format(tmp=folder) for word in more))
        return result, [path.read_bytes() for path in folder.iterdir()]

    # Where a picture has one channel, --channels is refused with everything else of its kind.
    if writes == "draw":
        start.pop("--channels", None)
    before, files = run("before", start)
    after, changed = run("after", given)
    assert before.exit_code == 0, before.output
    if writes in useless:
        assert after.exit_code == 2, option
        assert changed == []
    else:
        assert after.exit_code == 0, after.output
        assert (changed, after.output) != (files, before.output)


def test_every_option_of_the_layer_is_tried():
    assert signature(problem.parse).parameters.keys() - {"layer", "layers"} == {*OPTIONS}


@pytest.mark.parametrize(
    ("more", "suffix"),
    [
        (("--view", "zeros"), "svg"),
        (("--frame", "1"), "svg"),
        (("--no-numbers",), "gif"),
        (("--theme", "dark"), "png"),
        (("--seconds", "0.2"), "gif"),
        (("--cell", "20"), "png"),
    ],
)
def test_every_option_of_a_picture_changes_it(more, suffix, tmp_path):
    pictures = []
    for number, words in enumerate(((), more)):
        path = tmp_path / f"{number}.{suffix}"
        output = plain(jtconv("draw", "--kernel", 2, "--input", 3, *words, "-o", path))
        assert ("step 1 of 0 to 2" if "--frame" in words else " steps") in output
        pictures.append(path.read_bytes())
    assert pictures[0] != pictures[1]


def test_a_layer_may_stand_alone_and_names_its_framework():
    for layer in (
        "nn.ConvTranspose2d(16, 33, 3, stride=2)",
        "keras.layers.Conv2DTranspose(33, 3, strides=2)",
        "nnx.ConvTranspose(16, 33, (3, 3), 2, padding='VALID', rngs=rngs)",
    ):
        output = plain(jtconv("explain", layer, "--channels", 16, "--input", "50x100"))
        assert "(1, 50, 100, 16) -> (1, 101, 201, 33)" in output
    misused(
        "explain", "Deconv(3)", because="'Deconv' is not known here; this reads ConvTranspose1d"
    )
    misused("explain", "ConvTranspose1d(1, 1, 3)", "--kernel", 3, because="leave out --kernel")
    misused("explain", "Conv1d(1, 1, 3)", "--flax", "Conv(1, 1, 3)", because="LAYER and --flax")


def test_short_names_of_dtypes():
    told = plain(jtconv("explain", "--kernel", 3, "--input", 5, "--dtype", "bf16", "--json"))
    same = plain(jtconv("explain", "--kernel", 3, "--input", 5, "--dtype", "bfloat16", "--json"))
    assert told == same


def test_a_folder_is_no_picture():
    refused("upsample", ".", because="is a folder")


@pytest.mark.parametrize("command", [[], ["explain"], ["draw"], ["explore"], ["upsample"]])
def test_flags_have_no_value_in_help(command):
    assert "bool" not in jtconv(*command, "--help").output


@pytest.mark.peer("pdoc")
def test_docs_are_pages_with_search(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "jtconv", "docs", "--no-open", "--out", str(tmp_path / "docs")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "docs" / "jtconv.html").read_text(encoding="utf-8")
    for name in ("conv_transpose", "explain", "search"):
        assert name in page
    for name in ("draw", "streaming", "typing", "upsampling", "nnx", "interop"):
        assert (tmp_path / "docs" / "jtconv" / f"{name}.html").exists()
    assert "conv_transpose" in (tmp_path / "docs" / "search.js").read_text(encoding="utf-8")

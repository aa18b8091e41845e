"""The recipes there are. A new one is a file in this folder and a row in this table."""

from jtconv.models.train.recipe import Recipe
from jtconv.models.train.recipes import dcgan, deconvnet, fcn, unet

RECIPES: dict[str, Recipe] = {
    "dcgan": dcgan.RECIPE,
    "fcn": fcn.RECIPE,
    "unet": unet.RECIPE,
    "deconvnet": deconvnet.RECIPE,
}

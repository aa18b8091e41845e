"""Training the models on real data: ``python -m jtconv.models.train --help``.

====================  ==================================================================
``recipes/``          a file a model, and the table of them
``recipe.py``         what a recipe has to bring
``segmentation.py``   what the recipes that name pixels have in common
``data.py``           the data by name: ``digits.py``, ``scenes.py``
``trainer.py``        the loop
``checkpoints.py``    where a run stands; ``folder.py``: what it leaves behind
``metrics.py``        numbers, beside ``thresholding.py`` and ``classifier.py``
``pictures.py``       grids of pictures; ``projections.py``: of what an encoder sees
``command.py``        the command line
====================  ==================================================================

A new recipe is one file in ``recipes/`` and one row in its table: a ``Recipe`` whose ``begin``
makes an ``nnx.Module`` with two methods, ``learn`` (a step) and ``judge`` (metrics and
pictures). Compiling, seeds, checkpoints, the progress bar and the files are the trainer's.
"""

"""Training the models on real data: ``python -m jtconv.models.train --help``.

===================  ===================================================================
``command.py``       the command line, and the tables of recipes and data
``codec.py``         the recipe that says sound in whole numbers
``dcgan.py``         the recipe that draws digits
``segmentation.py``  the recipes that name pixels
``data.py``          digits, and digits pasted on photographs
``sounds.py``        melodies, made here
``trainer.py``       what a recipe has to bring, the loop, and its checkpoints
``metrics.py``       numbers, and what they are compared with
``results.py``       what a run leaves behind: numbers, grids of pictures, the folder
===================  ===================================================================

A new recipe is one file and one row of ``RECIPES``: a ``Recipe`` whose ``begin`` makes an
``nnx.Module`` with two methods, ``learn`` (a step) and ``judge`` (metrics and pictures).
Compiling, seeds, checkpoints, the progress bar and the files are the trainer's.
"""

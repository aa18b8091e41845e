"""What a compiler makes of our programs for a device that is not here.

    layers      which layers, of networks and drawn at random
    programs    one side of a layer by one method, or by ``jax.lax``, alone or between neighbours
    networks    training steps of whole networks
    hlo         the text of a compiled program: instructions and the bytes that they move
    meters      which meter counts for which chip
    tpu         compiling for TPUs, and what each operation takes there
    gpu         compiling for an H100, and the kernels and library calls of a program
    llo         how many cycles the machine code of one operation runs
    timeline    the operations of a program in order, with copies beside them
    sweep       every layer, side and form, each within a time limit
    results     what is kept: rows, and the compiler that they are of
    show        tables of what was found
    timed       the same programs run on a TPU, for whoever has one

It is a count, not a measurement: what it cannot see is listed in ``bench/README.md``.
"""

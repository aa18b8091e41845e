"""draft"""
def show(row, limits, console):
    console.print(row["case"], row["mode"], row["dtype"])
    for name, c in row["cells"].items():
        if "median_s" in c:
            t=c["median_s"]
            console.print(f"  {name:18} {t*1e3:9.3f} ms  [{c['p10_s']*1e3:.3f}-{c['p90_s']*1e3:.3f}] x{c['runs']} {row['multiply_adds']/t/1e9:7.1f} GMAC/s err {c['error']:.1e} temp {c['temp_bytes']} {c['trace_s']} {c['compile_s']} {c['way']}", markup=False)
        else:
            console.print(f"  {name:18} {c}", markup=False)

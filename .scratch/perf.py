import asyncio, sys, time, statistics
from pathlib import Path
sys.path.insert(0, '/tmp/w/portal-deliveries'); sys.path.insert(0, '/tmp/w/portal-deliveries/src')
import tempfile
from tests.web.pages import open_portal
from tests.doubles import ClockDouble
from tests.web.happenings import publish, attempt, delivered
from postback.domain.ids import parse, config_text
from postback.domain.users import Role
N = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
async def main():
    folder = Path(tempfile.mkdtemp(dir='/tmp/w/portal-deliveries/.scratch'))
    clock = ClockDouble()
    portal = await open_portal(folder, clock)
    loc = await portal.location()
    configs = [await portal.config(url=f"https://h{i%5}.example/in", event_types=["sms.*", "order.*"]) for i in range(20)]
    ids = [parse("pbc", c) for c in configs]
    base = clock()
    def fill(raw):
        def events():
            for n in range(N):
                t = "order.rare" if n % 100_000 == 7 else ("sms.received","sms.sent","order.paid")[n%3]
                yield ((base + n*10) << 21, "default", loc if n % 7 else None, t, f"s{n}", None, base + n*10, 1, b'{"from":"12025550166","to":"24687","text":"INFO","received":"2026-03-02T08:44:57-05:00","n":%d}' % n, f"T{n}" if t=="sms.sent" else None)
        raw.executemany("INSERT INTO events (id,account,location_id,type,subject,occurred_at,accepted_ms,deliveries,data,tracking_id) VALUES (?,?,?,?,?,?,?,?,?,?)", events())
        def attempts():
            for n in range(N):
                bad = n % 50 == 0
                yield ((base+n*10)<<21, ids[n%20], 1, "default", 1, 2 if bad else 1, 0, 1, 1, base+n*10, base+n*10, base+n*10+1, base+n*10+5, 0, 500 if bad else 200, "bad_status" if bad else None, 0)
        raw.executemany("INSERT INTO attempts (event_id,config_id,n,account,counter,verdict,manual,config_version,worker,started_ms,rendered_ms,sent_ms,ended_ms,wait_ms,status,reason,truncated) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", attempts())
    t=time.time(); await portal.api.store._submit(fill); print("filled", time.time()-t)
    clock.pass_(ms=N*10+1000)
    owner = await portal.signed_in(Role.OWNER)
    paths = ["/deliveries","/deliveries?state=failed","/deliveries?state=delivered","/deliveries?state=pending","/deliveries?type=order.rare","/deliveries?type=order.rare&state=failed",
      f"/deliveries?config={configs[3]}", f"/deliveries?config={configs[3]}&state=failed", f"/deliveries?config={configs[3]}&type=order.rare", f"/deliveries?location={loc}", "/deliveries?search=h3.example", "/deliveries?search=h3.example&state=failed",
      "/deliveries?search=s777777", "/deliveries?search=T10", "/deliveries?search=nothing", "/deliveries?from=2026-09-22", "/deliveries?state=cancelled&type=order.rare",
      "/events","/events?type=order.rare","/events?search=s5","/replays/new?state=failed", f"/replays/new?state=failed&config={configs[3]}", "/replays/new?state=failed&type=order.rare", "/replays/new?state=delivered&type=order.rare", "/replays", "/events/new"]
    for path in paths:
        took=[]
        for _ in range(6):
            b=time.perf_counter(); page=await owner.get(path); took.append((time.perf_counter()-b)*1000)
        print(f"{path[:70]:72} {page.status} first {took[0]:7.1f} median {statistics.median(took):7.1f} ms  {len(page.body)}")
    d=[h for h,_ in (await owner.get('/deliveries')).read.links if h.startswith('/deliveries/dlv')][0]
    for path in (d, "/events/evt_"+d[16:29]):
        b=time.perf_counter(); page=await owner.get(path); print(path[:20], page.status, (time.perf_counter()-b)*1000)
    await portal.api.store.close()
asyncio.run(main())

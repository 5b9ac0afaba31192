//! What a job in a warm extractor can do in the sandbox: the same as any program.

use haul_worker::sandbox::{Sandbox, Tier, Wanted};

use super::*;

/// Instead of looking, the program that tries to get out is run in the job's own process.
fn escaping() -> String {
    format!(
        "{}
import contextlib
SCRIPT = {:?}
real = yt_dlp.YoutubeDL.extract_info

def escape(self, url, *args, **kwargs):
    if not url.endswith('/escape'):
        return real(self, url, *args, **kwargs)
    with open('other.json') as other:
        sys.argv = ['escape', other.read()]
    with open('said', 'w') as said, contextlib.redirect_stdout(said):
        exec(compile(SCRIPT, 'escape', 'exec'), {{}})
    return {{'id': '1', 'title': 'tried'}}

yt_dlp.YoutubeDL.extract_info = escape
",
        gives_way(),
        haul_tests::ESCAPE
    )
}

/// Faults: its job failed, or it was taken for one that does not answer, and the next one was started at once, for ever.
#[tokio::test]
async fn a_warm_extractor_that_cannot_confine_its_jobs_says_so_and_is_given_no_address() {
    let origin = Origin::start().await;
    let url = read(&origin.url("/progressive.mp4"));
    let job = TempDir::new().unwrap();
    plain().extract(&url, 1, job.path(), &bounds()).await.unwrap();
    let asked_plainly = origin.all_hits();
    for (tier, cannot) in [
        (Tier::A, "go_apart = refused"),
        // calls that the kernel does not have
        (Tier::A, "PR_SET_SECCOMP = 1000"),
        (Tier::B, "RESTRICT_SELF = 1000"),
    ] {
        let package = format!(
            "{}
import __main__

def refused(port):
    raise PermissionError(1, 'Operation not permitted')

if hasattr(__main__, 'go_apart'):
    __main__.{cannot}
",
            gives_way()
        );
        let (dir, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let sandbox = Sandbox::establish(Wanted::Exactly(tier), home.path(), None).await.unwrap();
        let warm = WarmSettings { servers: 1, jobs_each: 500, home: home.path().to_owned() };
        let ytdlp = Ytdlp::new(haul_tests::ytdlp(program(dir.path(), &package))).confined(&sandbox).warmed(warm);
        ytdlp.begun().await;
        let job = home.path().join("job-ours");
        std::fs::create_dir(&job).unwrap();
        let guards = haul_tests::guards(&["127.0.0.1/32"]).found_at(sandbox.guard_inside());
        let bounds = Bounds { guard: guards.attempt(&CancellationToken::new()), ..bounds() };
        let before = origin.all_hits();
        ytdlp.extract(&url, 1, &job, &bounds).await.unwrap();
        let counts = ytdlp.counts();
        assert_eq!((counts.runs(Way::Warm), counts.runs(Way::Plain)), (0, 1), "{tier:?}, {cannot}");
        assert_eq!(origin.all_hits() - before, asked_plainly, "{tier:?}, {cannot}: somebody else has asked");
        until("it is counted", async || counts.replaced(Why::Unconfined) == 1).await.unwrap();
        assert_eq!(counts.replaced(Why::Deaf), 0, "{tier:?}, {cannot}");
    }
}

#[tokio::test]
async fn a_job_of_a_warm_extractor_has_its_directory_and_the_guard_and_nothing_else() {
    for tier in [Tier::A, Tier::B] {
        let (dir, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let sandbox = Sandbox::establish(Wanted::Exactly(tier), home.path(), None).await.unwrap();
        let warm = WarmSettings { servers: 1, jobs_each: 500, home: home.path().to_owned() };
        let program = program(dir.path(), &escaping());
        let ytdlp = Ytdlp::new(haul_tests::ytdlp(program)).confined(&sandbox).warmed(warm);
        ytdlp.begun().await;

        let [ours, theirs] = ["job-ours", "job-theirs"].map(|name| home.path().join(name));
        [&ours, &theirs].into_iter().for_each(|job| std::fs::create_dir(job).unwrap());
        let file = theirs.join("media.mp4");
        std::fs::write(&file, "theirs").unwrap();
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let guards = haul_tests::guards(&["127.0.0.1/32"]).found_at(sandbox.guard_inside());
        let bounds = Bounds { guard: guards.attempt(&CancellationToken::new()), ..bounds() };
        let address = |of: std::net::SocketAddr| json!([of.ip(), of.port()]);
        let other = json!({
            "worker": std::process::id(), "home": home.path(), "file": file, "greets": false,
            "guard": address(bounds.guard.address().unwrap()), "elsewhere": address(elsewhere.local_addr().unwrap()),
        });
        std::fs::write(ours.join("other.json"), other.to_string()).unwrap();
        let (info, _session) = ytdlp.extract(&read("http://127.0.0.1:1/escape"), 1, &ours, &bounds).await.unwrap();
        assert_eq!((info.title.as_deref(), ytdlp.counts().runs(Way::Warm)), (Some("tried"), 1), "{tier:?}");
        let said = std::fs::read_to_string(ours.join("said")).unwrap();
        assert_eq!(haul_tests::escaped(&said), Vec::<String>::new(), "{tier:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs");
    }
}

//! What only a directory has: modes, leftovers, a disk that is full.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::sync::Notify;

use super::*;

/// Everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { [vec![path.clone()], below(&path)].concat() } else { vec![path] })
        .collect()
}

#[tokio::test]
async fn nobody_else_can_look_into_the_store_and_nothing_stays_behind() {
    let site = Site::disk().await;
    let (key, objects) = (key(), site.directory.path().join("data/objects"));
    site.put(&key, 10).await;
    for folder in below(&objects).iter().filter(|path| path.is_dir()).chain([&objects]) {
        assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
    }
    // as a worker leaves it that was killed in the middle
    let object = objects.join(key.as_str());
    std::fs::rename(&object, object.with_extension("mp4.part")).unwrap();
    assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)));
    site.worker.delete(&key).await.unwrap();
    assert_eq!(below(&objects), [objects.join("m")]);
}

/// As of a disk that is not mounted: what is there no more would be made anew for who orders it again.
#[tokio::test]
async fn a_folder_that_is_away_has_lost_nothing() {
    let site = Site::disk().await;
    let (key, objects) = (key(), site.directory.path().join("data/objects"));
    site.put(&key, 10).await;
    let elsewhere = objects.with_extension("elsewhere");
    std::fs::rename(&objects, &elsewhere).unwrap();
    let answer = site.api.open(&key, None).await.map(drop);
    assert!(matches!(answer, Err(StorageError::Unavailable(_))), "{answer:?}");
    std::fs::rename(&elsewhere, &objects).unwrap();
    assert_eq!(read(&site.api, &key, None).await.unwrap().0, 10);
}

#[tokio::test]
async fn a_file_from_another_file_system_is_copied_and_a_full_disk_is_told() {
    let site = Site::disk().await;
    let disk = SmallDisk::mount(6 * 1024 * 1024);
    let store = Storage::Disk(DiskStore::open(disk.path(), None, None, Role::Worker).unwrap());
    let objects = disk.path().join("objects");

    let (file, content) = site.file("small.mp4", 2_500_000);
    let (first, heard) = (key(), Mutex::new(Vec::new()));
    store.put(&first, &file, &meta(), |done| heard.lock().unwrap().push(done)).await.unwrap();
    assert!(read(&store, &first, None).await.unwrap().1 == content);
    let heard = heard.into_inner().unwrap();
    assert!(heard.len() > 2 && heard.is_sorted() && heard.last() == Some(&2_500_000), "{heard:?}");
    store.delete(&first).await.unwrap();

    let (large, _) = site.file("large.mp4", 8_000_000);
    let answer = store.put(&key(), &large, &meta(), |_| {}).await;
    assert!(matches!(answer, Err(StorageError::Full)), "{answer:?}");
    assert_eq!(below(&objects), [objects.join("m")]);
    store.ready().await.unwrap();

    std::fs::write(disk.path().join("ballast"), []).unwrap();
    let filled = std::fs::copy(&large, disk.path().join("ballast"));
    assert!(filled.is_err());
    let answer = store.ready().await;
    assert!(matches!(answer, Err(StorageError::Full)), "{answer:?}");
}

#[tokio::test]
async fn a_copy_that_is_dropped_leaves_nothing() {
    let site = Site::disk().await;
    let disk = SmallDisk::mount(48 * 1024 * 1024);
    let store = Storage::Disk(DiskStore::open(disk.path(), None, None, Role::Worker).unwrap());
    // more pieces than are copied without a look at who else waits
    let (file, _) = site.file("large.mp4", 40_000_000);
    let (key, meta, begun) = (key(), meta(), Notify::new());
    tokio::select! {
        biased;
        () = begun.notified() => {}
        answer = store.put(&key, &file, &meta, |_| begun.notify_one()) => panic!("not whole, yet {answer:?}"),
    }
    let objects = disk.path().join("objects");
    assert_eq!(below(&objects), [objects.join("m")]);
}

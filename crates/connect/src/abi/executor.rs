//! What a library runs its calls on: a tokio runtime of its own with the feature `tokio`, else one thread, which is enough
//! when all waiting is for the host. Lives as long as the process.

use futures::future::BoxFuture;

/// Runs a task that does not panic.
pub(super) fn spawn(task: BoxFuture<'static, ()>) {
    #[cfg(feature = "tokio")]
    drop(runtime().spawn(task));
    #[cfg(not(feature = "tokio"))]
    single::spawn(task);
}

#[cfg(feature = "tokio")]
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let built = builder.worker_threads(2).thread_name("zyklus-plugin").enable_all().build();
        built.expect("without threads of its own a plugin can do nothing")
    })
}

/// One thread for all tasks.
#[cfg(any(test, not(feature = "tokio")))]
mod single {
    use std::sync::OnceLock;

    use futures::channel::mpsc::{UnboundedSender, unbounded};
    use futures::executor::block_on;
    use futures::stream::FuturesUnordered;
    use futures::{FutureExt, StreamExt, select};

    use super::BoxFuture;

    pub(super) fn spawn(task: BoxFuture<'static, ()>) {
        static TASKS: OnceLock<UnboundedSender<BoxFuture<'static, ()>>> = OnceLock::new();
        let tasks = TASKS.get_or_init(|| {
            let (sender, mut incoming) = unbounded::<BoxFuture<'static, ()>>();
            let work = async move {
                let mut running = FuturesUnordered::new();
                loop {
                    // An empty set is always ready: it must not be asked.
                    if running.is_empty() {
                        match incoming.next().await {
                            Some(task) => running.push(task),
                            None => return,
                        }
                    }
                    select! {
                        task = incoming.next().fuse() => match task {
                            Some(task) => running.push(task),
                            None => return,
                        },
                        _ = running.next() => {}
                    }
                }
            };
            let thread = std::thread::Builder::new().name("zyklus-plugin".into());
            thread
                .spawn(move || block_on(work))
                .expect("without a thread of its own a plugin can do nothing");
            sender
        });
        // The receiver lives as long as the thread, which never ends.
        drop(tasks.unbounded_send(task));
    }

    #[test]
    fn tasks_wait_beside_each_other() {
        let (first, wait) = futures::channel::oneshot::channel::<u32>();
        let (done, all) = std::sync::mpsc::channel();
        let told = done.clone();
        spawn(Box::pin(async move { told.send(wait.await.unwrap()).unwrap() }));
        spawn(Box::pin(async move {
            done.send(1).unwrap();
            first.send(2).unwrap();
        }));
        let second = std::time::Duration::from_secs(10);
        assert_eq!((all.recv_timeout(second), all.recv_timeout(second)), (Ok(1), Ok(2)));
    }
}

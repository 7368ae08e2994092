//! The hub's HTTP routes over a listener that the caller brings, until the caller ends it. Order and
//! codes as the contract's section 6 has them; everything a client can send or withhold is bounded.

mod answer;
mod auth;
mod list;
mod patience;
mod route;

use self::{
    answer::{Answer, Content, failure, following, json, json_text, prefixed},
    auth::{Caller, Guard},
    list::List,
    patience::{Bounds, Following, Patient},
    route::{Miss, Route, Verb, flag},
};
use crate::{
    api::{HUB_SERVICE, Health, Logs, ModuleState, Ready, Started, Stopped},
    home::Home,
    keys::{Keys, Origins},
    modules::registry::{Registry, short_of},
    supervisor::{OpError, Supervisor},
};
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// How long a request's head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(15);
/// How long an answer may wait for its client: as long as a request may; what is followed longer,
/// for whoever has stopped a terminal to read.
const READ: Bounds = Bounds {
    whole: HEAD,
    next: Duration::from_secs(600),
};
/// How large a request's head may be, in bytes.
const HEAD_SIZE: usize = 32 * 1024;
/// How many connections there may be; fewer where few files may be open.
const CONNECTIONS: usize = 16 * 1024;
/// How long answers under way have when the server ends.
const LAST: Duration = Duration::from_millis(800);

/// What the routes work with.
pub struct App {
    /// The box.
    pub home: Home,
    /// The nonce of this boot.
    pub instance: String,
    /// What runs the modules; a hub without one says so.
    pub supervisor: Option<Supervisor>,
    guard: Guard,
    keys: Arc<Keys>,
    list: List,
}

impl App {
    /// The routes of one hub.
    pub fn new(
        home: Home,
        instance: String,
        supervisor: Option<Supervisor>,
        keys: Arc<Keys>,
        origins: Arc<Origins>,
    ) -> Self {
        Self {
            home,
            instance,
            supervisor,
            guard: Guard::new(keys.clone(), origins),
            keys,
            list: List::default(),
        }
    }
}

/// Serves until `shutdown` is over, then lets answers under way finish, for a moment.
pub async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(places()));
    let (end, ended) = watch::channel(false);
    let accepting = async {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, app.clone(), ended.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                // Out of files, most likely: some will be closed.
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    drop(listener);
    drop(ended);
    end.send_replace(true);
    let _ = timeout(LAST, end.closed()).await;
}

/// Half of the files that may be open are for connections.
fn places() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let files = limit.current.unwrap_or(u64::MAX);
    usize::try_from(files / 2)
        .unwrap_or(CONNECTIONS)
        .clamp(16, CONNECTIONS)
}

async fn connection(stream: TcpStream, app: Arc<App>, mut ended: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let following = Following::default();
    let stream = Patient::new(stream, READ, following.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, following) = (app.clone(), following.clone());
        async move {
            let answer = answer(&app, &request).await;
            following.set(matches!(answer.body(), Content::Stream(_)));
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // What a client does wrong is its own affair; hyper has answered it where it could.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ended.wait_for(|end| *end) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn answer(app: &App, request: &Request<Incoming>) -> Answer {
    let route = match Route::of(request.method(), request.uri().path()) {
        Ok(route) => route,
        Err(Miss::NotFound) => {
            return failure(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is nothing at that path",
            );
        }
        Err(Miss::Method(allowed)) => {
            let text = format!("that path takes {allowed}");
            let mut answer = failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &text);
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allowed));
            return answer;
        }
    };
    let scopes = route.scopes();
    if !scopes.is_empty() {
        let caller = Caller {
            headers: request.headers(),
            uri: request.uri(),
            version: request.version(),
        };
        if let Err(refusal) = app.guard.admit(&caller, scopes) {
            tracing::debug!(method = %request.method(), status = refusal.status().as_u16(), "refused");
            return *refusal;
        }
    }
    work(app, route, request.uri().query()).await
}

async fn work(app: &App, route: Route, query: Option<&str>) -> Answer {
    let ok = StatusCode::OK;
    match route {
        Route::Health => json(
            ok,
            &Health {
                status: "ok".into(),
                service: Some(HUB_SERVICE.into()),
                version: Some(env!("CARGO_PKG_VERSION").into()),
                instance: Some(app.instance.clone()),
            },
        ),
        Route::Keys => json(ok, &app.keys.current().public()),
        Route::Ready => match &app.supervisor {
            Some(supervisor) => json(ok, &supervisor.ready()),
            None => json(ok, &Ready::default()),
        },
        Route::Modules => match &app.supervisor {
            Some(supervisor) => json_text(ok, app.list.text(&app.home, supervisor)),
            None => {
                let registry = Registry::read(&app.home).unwrap_or_default();
                let mut list = list::list(&registry, Vec::new(), &Default::default());
                list.supervisor_available = Some(false);
                json(ok, &list)
            }
        },
        Route::Operation => failure(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is no such operation",
        ),
        Route::Module(_, Verb::Package) => failure(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            "this hub does not install modules; `parachute add` and `parachute remove` do",
        ),
        Route::Reload | Route::Module(..) => match &app.supervisor {
            Some(supervisor) => operate(supervisor, route, query).await,
            None => failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "supervisor_unavailable",
                "this hub runs without a supervisor",
            ),
        },
    }
}

async fn operate(supervisor: &Supervisor, route: Route, query: Option<&str>) -> Answer {
    let done = match route {
        Route::Reload => match supervisor.reload().await {
            Ok(reloaded) => Ok(json(StatusCode::OK, &reloaded)),
            Err(error) => Err(OpError::Failed(error.to_string())),
        },
        Route::Module(short, Verb::Start) => supervisor.start(&short).await.map(started),
        Route::Module(short, Verb::Restart) => supervisor.restart(&short).await.map(started),
        Route::Module(short, Verb::Stop) => supervisor.stop(&short).await.map(|state| {
            let stopped = Stopped {
                stopped: state.is_some(),
                short: short_of(&short).to_owned(),
                state,
            };
            json(StatusCode::OK, &stopped)
        }),
        Route::Module(short, Verb::Logs) => {
            logs(supervisor, &short, flag(query, "follow")).ok_or(OpError::NotSupervised)
        }
        _ => Err(OpError::NotInstalled),
    };
    done.unwrap_or_else(|error| match error {
        OpError::NotInstalled => failure(
            StatusCode::BAD_REQUEST,
            "not_installed",
            "no such module is installed",
        ),
        OpError::NoStartCommand(text) => {
            failure(StatusCode::UNPROCESSABLE_ENTITY, "no_start_cmd", &text)
        }
        OpError::NotSupervised => failure(
            StatusCode::NOT_FOUND,
            "not_supervised",
            "the module has not been started since this hub was",
        ),
        OpError::Failed(text) => {
            failure(StatusCode::INTERNAL_SERVER_ERROR, "module_op_failed", &text)
        }
    })
}

fn started(state: ModuleState) -> Answer {
    json(
        StatusCode::OK,
        &Started {
            short: state.short.clone(),
            state,
        },
    )
}

fn logs(supervisor: &Supervisor, name: &str, follow: bool) -> Option<Answer> {
    let short = supervisor.state(name)?.short;
    if follow {
        return Some(following(short, supervisor.follow(name)?));
    }
    let lines = prefixed(&short, &supervisor.logs(name)?);
    let text = lines.concat();
    let logs = Logs { short, lines, text };
    Some(json_text(
        StatusCode::OK,
        Bytes::from(serde_json::to_vec(&logs).unwrap_or_default()),
    ))
}

//! Which request means what: method and path in, a route or a refusal out. Pure; judges no caller.

use hyper::Method;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `GET /health`
    Health,
    /// `GET /api/ready`
    Ready,
    /// `GET /.well-known/jwks.json`
    Keys,
    /// `GET /api/modules`
    Modules,
    /// `POST /api/reload`
    Reload,
    /// `GET /api/modules/operations/:id`
    Operation,
    /// Something about one module.
    Module(String, Verb),
}

/// What is asked of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// `POST …/start`
    Start,
    /// `POST …/stop`
    Stop,
    /// `POST …/restart`
    Restart,
    /// `GET …/logs`
    Logs,
    /// `POST …/install`, `…/upgrade`, `…/uninstall`: not offered.
    Package,
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// 404
    NotFound,
    /// 405, with what is allowed.
    Method(&'static str),
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";
const ADMIN: &str = "parachute:host:admin";

impl Route {
    /// The route of a request.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Miss> {
        let (route, allowed) = Self::at(path).ok_or(Miss::NotFound)?;
        let is = match allowed {
            GET => method == Method::GET || method == Method::HEAD,
            _ => method == Method::POST,
        };
        is.then_some(route).ok_or(Miss::Method(allowed))
    }

    fn at(path: &str) -> Option<(Self, &'static str)> {
        Some(match path {
            "/health" => (Route::Health, GET),
            "/api/ready" => (Route::Ready, GET),
            "/.well-known/jwks.json" => (Route::Keys, GET),
            "/api/modules" => (Route::Modules, GET),
            "/api/reload" => (Route::Reload, POST),
            _ => {
                let (first, second) = path.strip_prefix("/api/modules/")?.split_once('/')?;
                let short = segment(first)?;
                if short == "operations" {
                    segment(second)?;
                    return Some((Route::Operation, GET));
                }
                let (verb, allowed) = match second {
                    "start" => (Verb::Start, POST),
                    "stop" => (Verb::Stop, POST),
                    "restart" => (Verb::Restart, POST),
                    "logs" => (Verb::Logs, GET),
                    "install" | "upgrade" | "uninstall" => (Verb::Package, POST),
                    _ => return None,
                };
                (Route::Module(short, verb), allowed)
            }
        })
    }

    /// The scopes of which one is needed; none: everybody may.
    pub(super) fn scopes(&self) -> &'static [&'static str] {
        match self {
            Route::Health | Route::Ready | Route::Keys => &[],
            Route::Modules => &["parachute:host:auth"],
            Route::Module(_, Verb::Package) | Route::Reload | Route::Operation => &[ADMIN],
            Route::Module(..) => &[ADMIN, "parachute:host:start"],
        }
    }
}

/// Is `name` asked for with `1` or `true` in this query?
pub(super) fn flag(query: Option<&str>, name: &str) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        pair.split_once('=')
            .is_some_and(|(key, value)| key == name && matches!(value, "1" | "true"))
    })
}

/// One segment of a path, its escapes undone; `None` when it could lead anywhere else than to one
/// name: empty, dots, a slash, a control character, no UTF-8, longer than a file name.
fn segment(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            byte => byte,
        });
    }
    let name = String::from_utf8(bytes).ok()?;
    let odd = |c: char| matches!(c, '/' | '\\') || c.is_control();
    let safe = !matches!(&*name, "" | "." | "..") && name.len() <= 255 && !name.contains(odd);
    safe.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<Route, Miss> {
        Route::of(&Method::GET, path)
    }

    #[test]
    fn every_route_has_its_method_and_every_other_method_is_405() {
        let module = |verb| Route::Module("vault".into(), verb);
        let all = [
            ("GET", "/health", Route::Health),
            ("GET", "/api/ready", Route::Ready),
            ("GET", "/.well-known/jwks.json", Route::Keys),
            ("GET", "/api/modules", Route::Modules),
            ("POST", "/api/reload", Route::Reload),
            ("GET", "/api/modules/operations/x-1", Route::Operation),
            ("POST", "/api/modules/vault/start", module(Verb::Start)),
            ("POST", "/api/modules/vault/stop", module(Verb::Stop)),
            ("POST", "/api/modules/vault/restart", module(Verb::Restart)),
            ("GET", "/api/modules/vault/logs", module(Verb::Logs)),
            ("POST", "/api/modules/vault/install", module(Verb::Package)),
            ("POST", "/api/modules/vault/upgrade", module(Verb::Package)),
            (
                "POST",
                "/api/modules/vault/uninstall",
                module(Verb::Package),
            ),
        ];
        for (right, path, route) in all {
            for method in [
                "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW",
            ] {
                let got = Route::of(&method.parse().unwrap(), path);
                if method == right || (right == "GET" && method == "HEAD") {
                    assert_eq!(got, Ok(route.clone()), "{method} {path}");
                } else {
                    assert!(matches!(got, Err(Miss::Method(_))), "{method} {path}");
                }
            }
        }
    }

    #[test]
    fn a_short_is_one_safe_name() {
        let short = |raw: &str| match get(&format!("/api/modules/{raw}/logs")) {
            Ok(Route::Module(short, Verb::Logs)) => Some(short),
            _ => None,
        };
        assert_eq!(short("vault").as_deref(), Some("vault"));
        assert_eq!(short("%76ault").as_deref(), Some("vault"));
        assert_eq!(short("a%20b").as_deref(), Some("a b"));
        for bad in [
            "",
            ".",
            "..",
            "%2e%2e",
            "a%2Fb",
            "a%2fb",
            "a%5cb",
            "a%00",
            "a%0a",
            "%",
            "%4",
            "%zz",
            "%ff",
            "a/b",
            "../x",
            &"x".repeat(256),
        ] {
            assert_eq!(short(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        for path in [
            "",
            "/",
            "/health/",
            "//health",
            "/Health",
            "/api",
            "/api/modules/",
            "/api/modules/vault",
            "/api/modules/vault/",
            "/api/modules/vault/logs/",
            "/api/modules/vault/fly",
            "/api/modules//logs",
            "/api/modules/operations/",
            "/api/modules/operations/a/b",
            "/../health",
            "*",
        ] {
            assert_eq!(get(path), Err(Miss::NotFound), "{path}");
        }
    }

    #[test]
    fn follow_is_asked_for_in_two_words() {
        for yes in [
            "follow=1",
            "follow=true",
            "a=b&follow=1",
            "follow=0&follow=1",
        ] {
            assert!(flag(Some(yes), "follow"), "{yes}");
        }
        for no in [
            "",
            "follow",
            "follow=",
            "follow=yes",
            "unfollow=1",
            "follow=10",
        ] {
            assert!(!flag(Some(no), "follow"), "{no}");
        }
        assert!(!flag(None, "follow"));
    }
}

//! How Redis is reached: one server, sentinels that name it, or a cluster; and whether the cache has one of its own.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Reader, parse, vars};
use crate::metrics::Role;
use crate::redis::{Deployment, RedisUnfit, Server};

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// The queue's.
    pub queue: Deployment,
    /// The cache's; `None` is the queue's.
    pub cache: Option<Deployment>,
    /// Connections to each, per process.
    pub pool_size: usize,
}

impl RedisConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let is_cluster = reader.value(&vars::REDIS_CLUSTER, parse::boolean);
        let master = reader.optional(&vars::REDIS_SENTINEL, parse::text);
        let password = reader.optional(&vars::REDIS_SENTINEL_PASSWORD, parse::secret);
        if is_cluster && master.is_some() {
            reader.fault(&vars::REDIS_SENTINEL, "a cluster has no sentinels: only one of this and HAUL_REDIS_CLUSTER");
        }
        let urls = |text: &str| match (&master, is_cluster) {
            // a comma may then be part of a password
            (None, false) => parse::redis_url(text).map(|url| vec![url]),
            _ => parse::redis_urls(text),
        };
        let deployment = |mut urls: Vec<SecretString>| match &master {
            Some(master) => Deployment::Sentinel { urls, master: master.clone(), password: password.clone() },
            None if is_cluster => Deployment::Cluster { urls },
            None => Deployment::Single { url: urls.remove(0) },
        };
        let queue = reader.value(&vars::REDIS_URL, urls);
        let own = |urls: &Vec<SecretString>| {
            !urls.iter().map(SecretString::expose_secret).eq(queue.iter().map(SecretString::expose_secret))
        };
        let cache = reader.optional(&vars::CACHE_REDIS_URL, urls).filter(own);
        let cache = cache.map(|mut urls| match urls.len() {
            1 => Deployment::Single { url: urls.remove(0) },
            _ => deployment(urls),
        });
        let pool_size = reader.value(&vars::REDIS_POOL_SIZE, parse::number(1, 1024));
        Self { queue: deployment(queue), cache, pool_size }
    }

    /// The queue's and the cache's Redis; they share their connections when they are the same.
    ///
    /// # Errors
    /// [`RedisUnfit::Url`].
    pub fn servers(&self) -> Result<(Server, Server), RedisUnfit> {
        let queue = Server::new(&self.queue, self.pool_size)?;
        let cache = match &self.cache {
            Some(cache) => Server::of_role(Role::Cache, cache, self.pool_size)?,
            None => queue.clone(),
        };
        Ok((queue, cache))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Env, Process};
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> String {
        let env = Env::of_pairs(pairs.iter().copied());
        let mut reader = Reader::new(&env, Process::Api);
        let config = RedisConfig::read(&mut reader);
        let kind = |deployment: &Deployment| match deployment {
            Deployment::Single { .. } => "single".to_owned(),
            Deployment::Sentinel { urls, master, .. } => format!("{} sentinels of {master}", urls.len()),
            Deployment::Cluster { urls } => format!("cluster of {}", urls.len()),
        };
        let cache = config.cache.as_ref().map_or_else(|| "the same".to_owned(), kind);
        let told = format!("{}, cache {cache}", kind(&config.queue));
        reader.finish(told).unwrap_or_else(|faults| faults.to_string())
    }

    #[test]
    fn redis_is_one_server_or_named_by_sentinels_or_a_cluster() {
        let three = "redis://a:1,redis://b:2,c:3";
        assert_eq!(read(&[]), "single, cache the same");
        assert_eq!(
            read(&[("HAUL_REDIS_URL", "redis://a"), ("HAUL_CACHE_REDIS_URL", "redis://a")]),
            "single, cache the same"
        );
        assert_eq!(read(&[("HAUL_CACHE_REDIS_URL", "redis://b")]), "single, cache single");
        assert_eq!(
            read(&[("HAUL_REDIS_URL", three), ("HAUL_REDIS_SENTINEL", "haul")]),
            "3 sentinels of haul, cache the same"
        );
        let cluster = [("HAUL_REDIS_URL", three), ("HAUL_REDIS_CLUSTER", "true")];
        assert_eq!(read(&cluster), "cluster of 3, cache the same");
        let cached = |url| read(&[cluster[0], cluster[1], ("HAUL_CACHE_REDIS_URL", url)]);
        assert_eq!(cached("redis://d"), "cluster of 3, cache single");
        assert_eq!(cached("redis://d,redis://e"), "cluster of 3, cache cluster of 2");
    }

    #[test]
    fn many_servers_are_a_fault_unless_it_is_told_what_they_are() {
        assert!(read(&[("HAUL_REDIS_URL", "redis://a,redis://b")]).contains("HAUL_REDIS_URL: expected a redis://"));
        let both = read(&[("HAUL_REDIS_CLUSTER", "true"), ("HAUL_REDIS_SENTINEL", "haul")]);
        assert!(both.contains("HAUL_REDIS_SENTINEL: a cluster has no sentinels"), "{both}");
    }
}

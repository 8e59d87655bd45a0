# Airflow image for Astro: `astro dev start`, `astro deploy`. The runtime's Airflow minor and Python are those of the lock.
# Its ONBUILD steps install packages.txt (Java 17) and requirements.txt, and copy the project.
FROM astrocrpublic.azurecr.io/runtime:3.3-8-python-3.11

ARG GIT_COMMIT=unknown
ENV PYTHONPATH="/usr/local/airflow/include:/usr/local/airflow/plugins:/usr/local/airflow/spark:/usr/local/airflow/jobs" \
    NIGHTJAR_JARS="/usr/local/airflow/.jars" \
    NIGHTJAR_GIT_COMMIT="$GIT_COMMIT" \
    MLFLOW_DISABLE_TELEMETRY="true" \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false"

# The same JARs as on one machine: resolved by Spark, checked against spark/jars.lock.
RUN python -m nightjar.local jars
